"""VGG-16: thirteen convolutions in five blocks and three fully connected layers, without BatchNorm, from torchvision.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015, configuration D.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from trainables.data.input_spec import IMAGENET
from trainables.hyperparameters import FROM_0_BELOW_1, Config, read_float
from trainables.models import _heads, _torchvision
from trainables.models._plain import PlainNetwork
from trainables.trainable import TransferModel

HYPERPARAMETERS = {"dropout": "share of the features dropped before the last layer, 0 to below 1; default 0.5"}
RANGES = {"dropout": "0 <= float < 1"}
READS_ALSO = ("trainables.models",)
LINEAR_HEAD = False
"""The head contains dropout."""
INPUT = IMAGENET
WEIGHTS = "vgg16.pth"
BLOCKS = {"block1": (0, 5), "block2": (5, 10), "block3": (10, 17), "block4": (17, 24), "block5": (24, 31)}
"""Start and end index of each block in `features`. Each block ends with its pooling."""
MIN_SIDE = 32
"""In pixels. Five poolings halve each side, and at least one pixel must be left."""


def build(config: Config, *, shape: tuple[int, int, int], n_classes: int, weights: str) -> TransferModel:
    """Build VGG-16 for images of `shape` (3, height, width), at least 32 pixels a side.

    `weights` is "none" for random weights, or the path of a state dict with torchvision's keys. The stages are block1
    to block5, pool, fc6 and fc7. The last two are the classifier. The dropout between two layers belongs to the second
    layer, so the last dropout is part of the head. Its rate is `dropout`. Raises ValueError for a wrong `dropout`, and
    SetupError if the images or the weights do not fit.
    """
    network = _torchvision.network("vgg16", shape, weights, head="classifier.6.", min_side=MIN_SIDE)
    stages = {
        **_torchvision.stages(network.features, BLOCKS),
        "pool": nn.Sequential(network.avgpool, nn.Flatten()),
        **_torchvision.stages(network.classifier, {"fc6": (0, 2), "fc7": (2, 5)}),
    }
    dropout = nn.Dropout(read_float(config, "dropout", 0.5, FROM_0_BELOW_1))
    head = nn.Sequential(dropout, _heads.linear(4096, n_classes, config))
    return TransferModel(stages, head, classifier=("fc6", "fc7"))


def plain_network(config: Config, model: TransferModel, *, shape: tuple[int, int, int], n_classes: int) -> PlainNetwork:
    """Return the network as torchvision builds it."""
    features = {f"stages.{name}.": "features." for name in BLOCKS}
    names = {**features, "stages.fc6.": "classifier.", "stages.fc7.": "classifier.", "head.1.": "classifier.6."}
    return _torchvision.plain_network("vgg16", n_classes, names)


def fetch(path: Path) -> None:
    """Download the ImageNet weights and save the state dict at `path`."""
    _torchvision.fetch("vgg16", path)

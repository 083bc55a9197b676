"""AlexNet: five convolutions and three fully connected layers, from torchvision.

Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from trainables.data.input_spec import IMAGENET
from trainables.hyperparameters import Config
from trainables.models import _head_dropout, _torchvision
from trainables.models._plain import PlainNetwork
from trainables.trainable import TransferModel

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = ("trainables.models", "trainables.models._head_dropout")
INPUT = IMAGENET
WEIGHTS = "alexnet.pth"
CONVOLUTIONS = {"conv1": (0, 3), "conv2": (3, 6), "conv3": (6, 8), "conv4": (8, 10), "conv5": (10, 13)}
"""Start and end index of each stage in `features`. A stage is a convolution, its ReLU, and the pooling that follows."""
MIN_SIDE = 63
"""In pixels. The strides and poolings reduce it to a single pixel."""


def build(config: Config, *, shape: tuple[int, int, int], n_classes: int, weights: str) -> TransferModel:
    """Build AlexNet for images of `shape` (3, height, width), at least 63 pixels a side.

    `weights` is "none" for random weights, or the path of a state dict with torchvision's keys. The stages are conv1 to
    conv5, pool, fc6 and fc7. The last two are the classifier, each with the dropout before it and the ReLU after it.
    Raises SetupError if the images or the weights do not fit.
    """
    network = _torchvision.network("alexnet", shape, weights, head="classifier.6.", min_side=MIN_SIDE)
    stages = {
        **_torchvision.stages(network.features, CONVOLUTIONS),
        "pool": nn.Sequential(network.avgpool, nn.Flatten()),
        **_torchvision.stages(network.classifier, {"fc6": (0, 3), "fc7": (3, 6)}),
    }
    return TransferModel(stages, _head_dropout.linear(4096, n_classes, config), classifier=("fc6", "fc7"))


def plain_network(config: Config, model: TransferModel, *, shape: tuple[int, int, int], n_classes: int) -> PlainNetwork:
    """Return the network as torchvision builds it."""
    features = {f"stages.{name}.": "features." for name in CONVOLUTIONS}
    names = {**features, "stages.fc6.": "classifier.", "stages.fc7.": "classifier.", "head.": "classifier.6."}
    return _torchvision.plain_network("alexnet", n_classes, names)


def fetch(path: Path) -> None:
    """Download the ImageNet weights and save the state dict at `path`."""
    _torchvision.fetch("alexnet", path)

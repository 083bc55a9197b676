"""SqueezeNet 1.0: a convolution, eight fire modules, and a convolution as the head, from torchvision.

Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size", 2016.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from trainables.data.input_spec import IMAGENET
from trainables.hyperparameters import Config
from trainables.models import _heads, _torchvision
from trainables.models._plain import PlainNetwork
from trainables.trainable import TransferModel

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = ("trainables.models",)
LINEAR_HEAD = False
"""The head is a convolution with dropout."""
INPUT = IMAGENET
WEIGHTS = "squeezenet1_0.pth"
STAGES = {
    "conv1": (0, 3),
    "fire2": (3, 4),
    "fire3": (4, 5),
    "fire4": (5, 7),
    "fire5": (7, 8),
    "fire6": (8, 9),
    "fire7": (9, 10),
    "fire8": (10, 12),
    "fire9": (12, 13),
}
"""Start and end index of each stage in `features`, numbered as in the paper. A stage ends with the pooling, if any."""
MIN_SIDE = 21
"""In pixels. The strides and poolings reduce it to a single pixel."""


def build(config: Config, *, shape: tuple[int, int, int], n_classes: int, weights: str) -> TransferModel:
    """Build SqueezeNet for images of `shape` (3, height, width), at least 21 pixels a side.

    `weights` is "none" for random weights, or the path of a state dict with torchvision's keys. The stages are conv1
    and fire2 to fire9. The features are maps of 512 channels. The head applies dropout of one half, a 1x1 convolution
    with ReLU that gives each position one value for each class, and the mean over all positions. Raises SetupError if
    the images or the weights do not fit.
    """
    network = _torchvision.network("squeezenet1_0", shape, weights, head="classifier.1.", min_side=MIN_SIDE)
    dropout, _, relu, pool = network.classifier
    head = nn.Sequential(dropout, _heads.convolution(512, n_classes, config), relu, pool, nn.Flatten())
    return TransferModel(_torchvision.stages(network.features, STAGES), head)


def plain_network(config: Config, model: TransferModel, *, shape: tuple[int, int, int], n_classes: int) -> PlainNetwork:
    """Return the network as torchvision builds it."""
    features = {f"stages.{name}.": "features." for name in STAGES}
    names = {**features, "head.1.": "classifier.1."}
    return _torchvision.plain_network("squeezenet1_0", n_classes, names)


def fetch(path: Path) -> None:
    """Download the ImageNet weights and save the state dict at `path`."""
    _torchvision.fetch("squeezenet1_0", path)

"""SqueezeNet 1.0: a convolution, eight fire modules, and a convolution as the head.

Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
2016; from torchvision.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from trainables.data.input_spec import IMAGENET
from trainables.hyperparameters import Config
from trainables.models import _heads, _torchvision
from trainables.trainable import TransferModel

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = ("trainables.models",)
LINEAR_HEAD = False
"""It is a convolution, and drops out."""
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
"""As the paper numbers them, each with the pooling that follows it."""
LEAST_SIDE = 21
"""Pixels: what the strides and poolings leave one of."""


def build(config: Config, *, shape: tuple[int, int, int], n_classes: int, weights: str) -> TransferModel:
    """For images of `shape` (3, height, width) of at least 21 pixels a side; random weights or those at a path.

    The features are maps of 512 channels. The head drops half of them out, gives each place a value a
    class by a 1x1 convolution with ReLU, and takes the mean over all places.
    """
    network = _torchvision.network("squeezenet1_0", shape, weights, head="classifier.1.", least=LEAST_SIDE)
    dropout, _, relu, pool = network.classifier
    head = nn.Sequential(dropout, _heads.convolution(512, n_classes, config), relu, pool, nn.Flatten())
    return TransferModel(_torchvision.stages(network.features, STAGES), head)


def fetch(path: Path) -> None:
    """Download the ImageNet weights and save them at `path`."""
    _torchvision.fetch("squeezenet1_0", path)

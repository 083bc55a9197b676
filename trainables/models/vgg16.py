"""VGG-16: thirteen convolutions in five blocks and three fully connected layers.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015,
configuration D; from torchvision, without BatchNorm.
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
"""It drops out."""
INPUT = IMAGENET
WEIGHTS = "vgg16.pth"
BLOCKS = {"block1": (0, 5), "block2": (5, 10), "block3": (10, 17), "block4": (17, 24), "block5": (24, 31)}
"""Each ends in its pooling."""
LEAST_SIDE = 32
"""Pixels: five poolings halve each side, and something must be left."""


def build(config: Config, *, shape: tuple[int, int, int], n_classes: int, weights: str) -> TransferModel:
    """For images of `shape` (3, height, width) of at least 32 pixels a side; random weights or those at a path.

    The classifier is fc6 and fc7; the dropout between two layers stands before the second, so the
    last one is part of the head.
    """
    network = _torchvision.network("vgg16", shape, weights, head="classifier.6.", least=LEAST_SIDE)
    stages = {
        **_torchvision.stages(network.features, BLOCKS),
        "pool": nn.Sequential(network.avgpool, nn.Flatten()),
        **_torchvision.stages(network.classifier, {"fc6": (0, 2), "fc7": (2, 5)}),
    }
    head = nn.Sequential(network.classifier[5], _heads.linear(4096, n_classes, config))
    return TransferModel(stages, head, classifier=("fc6", "fc7"))


def fetch(path: Path) -> None:
    """Download the ImageNet weights and save them at `path`."""
    _torchvision.fetch("vgg16", path)

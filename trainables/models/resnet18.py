"""ResNet-18: a residual network of eight blocks with two convolutions each, from torchvision.

He et al., "Deep residual learning for image recognition", 2016.
"""

from __future__ import annotations

from pathlib import Path

from trainables.data.input_spec import IMAGENET
from trainables.hyperparameters import Config
from trainables.models import _head_dropout, _torchvision
from trainables.models._plain import PlainNetwork
from trainables.trainable import TransferModel

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = ("trainables.models", "trainables.models._head_dropout")
INPUT = IMAGENET
WEIGHTS = "resnet18.pth"


def build(config: Config, *, shape: tuple[int, int, int], n_classes: int, weights: str) -> TransferModel:
    """Build ResNet-18 for images of `shape` (3, height, width).

    `weights` is "none" for random weights, or the path of a state dict with torchvision's keys. The stages are stem,
    layer1 to layer4 and pool. Raises SetupError if the images or the weights do not fit.
    """
    stages, n_features = _torchvision.resnet("resnet18", shape, weights)
    return TransferModel(stages, _head_dropout.linear(n_features, n_classes, config))


def plain_network(config: Config, model: TransferModel, *, shape: tuple[int, int, int], n_classes: int) -> PlainNetwork:
    """Return the network as torchvision builds it."""
    return _torchvision.plain_resnet("resnet18", n_classes)


def fetch(path: Path) -> None:
    """Download the ImageNet weights and save the state dict at `path`."""
    _torchvision.fetch("resnet18", path)

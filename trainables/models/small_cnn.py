"""A small convolutional network for small images. It is meant to be trained from random weights on a CPU."""

from __future__ import annotations

from torch import nn

from trainables.errors import SetupError
from trainables.hyperparameters import FROM_0_BELOW_1, Config, read_float, read_int
from trainables.models import _heads, _plain
from trainables.models._plain import PlainNetwork
from trainables.models._weights import refuse
from trainables.trainable import TransferModel

HYPERPARAMETERS = {
    "width": "channels of the first stage, the second has twice as many; a whole number of at least 1, default 16",
    "dropout": "share of the features dropped before the head, 0 to below 1; default 0",
}
RANGES = {"width": "int >= 1", "dropout": "0 <= float < 1"}
READS_ALSO = ("trainables.models",)
MIN_SIDE = 4
"""In pixels. Two stages halve each side, and at least one pixel must be left."""


def build(config: Config, *, shape: tuple[int, int, int], n_classes: int, weights: str) -> TransferModel:
    """Build the network for images of `shape` (channels, height, width), at least 4 pixels a side.

    The stages stage1 and stage2 have two convolutions each. The head is dropout and one linear layer.

    Raises ValueError for a wrong value in `config`; the message names the key. Raises SetupError if the images are too
    small, or if pretrained weights are asked for: there are none.
    """
    refuse(weights, "small_cnn")
    channels, *sides = shape
    if min(sides) < MIN_SIDE:
        message = f"small_cnn needs images of at least {MIN_SIDE} pixels a side (`image_size`), but has {sides}"
        raise SetupError(message, keys=("image_size",))
    width = read_int(config, "width", 16)
    dropout = read_float(config, "dropout", 0.0, FROM_0_BELOW_1)
    stages = {"stage1": _stage(channels, width), "stage2": _stage(width, 2 * width)}
    n_features = 2 * width * (sides[0] // 4) * (sides[1] // 4)
    head = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), _heads.linear(n_features, n_classes, config))
    return TransferModel(stages, head)


def plain_network(
    config: Config, model: TransferModel, *, shape: tuple[int, int, int], n_classes: int
) -> PlainNetwork | None:
    """Return the network as one sequence of torch's layers."""
    return _plain.layers(model)


def _stage(n_in: int, n_out: int) -> nn.Sequential:
    """Two 3x3 convolutions, each with BatchNorm and ReLU, and a 2x2 max pooling that halves each side."""
    return nn.Sequential(*_convolution(n_in, n_out), *_convolution(n_out, n_out), nn.MaxPool2d(2))


def _convolution(n_in: int, n_out: int) -> list[nn.Module]:
    return [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)]

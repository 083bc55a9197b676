"""A network of four convolutions that turns a small image into a short vector."""

from __future__ import annotations

from torch import nn

from trainables.errors import SetupError
from trainables.hyperparameters import FROM_0_BELOW_1, Config, read_float, read_int
from trainables.models import _heads, _plain
from trainables.models._plain import PlainNetwork
from trainables.models._weights import refuse
from trainables.trainable import TransferModel

HYPERPARAMETERS = {
    "hidden": "units of the layer before the embedding, a whole number of at least 1, default 4096",
    "dropout": "share of these units dropped, 0 to below 1, default 0.1",
    "embedding": "length of the vector that an image becomes, a whole number of at least 1, default 64",
}
RANGES = {"hidden": "int >= 1", "dropout": "0 <= float < 1", "embedding": "int >= 1"}
READS_ALSO = ("trainables.models",)
MIN_SIDE = 4
"""In pixels. Two poolings halve each side, and at least one pixel must be left."""


def build(config: Config, *, shape: tuple[int, int, int], n_classes: int, weights: str) -> TransferModel:
    """Build the network for images of `shape` (channels, height, width), at least 4 pixels a side.

    The stages conv1 to conv4 are 3x3 convolutions of 64, 64, 128 and 128 channels, each with BatchNorm and ReLU. A 2x2
    max pooling after the second and the fourth halves each side. The stage hidden is a linear layer with ReLU and
    dropout. The stage embedding is a linear layer; its output is the features.

    Raises ValueError for a wrong value in `config`; the message names the key. Raises SetupError if the images are too
    small, or if pretrained weights are asked for: there are none.
    """
    refuse(weights, "conv4")
    channels, *sides = shape
    if min(sides) < MIN_SIDE:
        message = f"conv4 needs images of at least {MIN_SIDE} pixels a side (`image_size`), but has {sides}"
        raise SetupError(message, keys=("image_size",))
    n_hidden = read_int(config, "hidden", 4096)
    n_embedding = read_int(config, "embedding", 64)
    dropout = nn.Dropout(read_float(config, "dropout", 0.1, FROM_0_BELOW_1))
    n_pixels = (sides[0] // 4) * (sides[1] // 4)
    stages = {
        "conv1": _convolution(channels, 64),
        "conv2": _convolution(64, 64).append(nn.MaxPool2d(2)),
        "conv3": _convolution(64, 128),
        "conv4": _convolution(128, 128).append(nn.MaxPool2d(2)),
        "hidden": nn.Sequential(nn.Flatten(), nn.Linear(128 * n_pixels, n_hidden), nn.ReLU(inplace=True), dropout),
        "embedding": nn.Linear(n_hidden, n_embedding),
    }
    return TransferModel(stages, _heads.linear(n_embedding, n_classes, config))


def plain_network(
    config: Config, model: TransferModel, *, shape: tuple[int, int, int], n_classes: int
) -> PlainNetwork | None:
    """Return the network as one sequence of torch's layers."""
    return _plain.layers(model)


def _convolution(n_in: int, n_out: int) -> nn.Sequential:
    # No bias, because BatchNorm would subtract it again.
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True))

"""A network of four convolutions: an encoder of small images into short vectors."""

from __future__ import annotations

from torch import nn

from trainables.errors import SetupError
from trainables.hyperparameters import FROM_0_BELOW_1, Config, real, whole
from trainables.models import _heads
from trainables.models._weights import refuse
from trainables.trainable import TransferModel

HYPERPARAMETERS = {
    "hidden": "units of the layer before the embedding, a whole number of at least 1, default 4096",
    "dropout": "share of these units dropped, 0 to below 1, default 0.1",
    "embedding": "length of the vector that an image becomes, a whole number of at least 1, default 64",
}
READS_ALSO = ("trainables.models",)
LEAST_SIDE = 4
"""Pixels: two poolings halve each side, and something must be left."""


def build(config: Config, *, shape: tuple[int, int, int], n_classes: int, weights: str) -> TransferModel:
    """For images of `shape` (channels, height, width) of at least 4 pixels a side; the features are the embedding.

    Four 3x3 convolutions of 64, 64, 128 and 128 channels, each with BatchNorm and ReLU; after the second
    and the fourth the maximum of 2x2 halves each side; a hidden layer with ReLU and dropout; the
    embedding, linear. A ValueError names a wrong value and its key; a SetupError says that the images are
    too small, or that there are no pretrained weights.
    """
    refuse(weights, "conv4")
    channels, *sides = shape
    if min(sides) < LEAST_SIDE:
        words = f"conv4 needs images of at least {LEAST_SIDE} pixels a side (`image_size`), but has {sides}"
        raise SetupError(words, keys=("image_size",))
    n_hidden = whole(config, "hidden", 4096)
    n_embedding = whole(config, "embedding", 64)
    dropout = nn.Dropout(real(config, "dropout", 0.1, FROM_0_BELOW_1))
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


def _convolution(n_in: int, n_out: int) -> nn.Sequential:
    # No bias: BatchNorm would take it away again.
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True))

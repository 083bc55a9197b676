"""Softmax regression: one linear layer on the pixels, the simplest classifier."""

from __future__ import annotations

from math import prod

from torch import nn

from trainables.hyperparameters import Config
from trainables.models import _head_dropout, _plain
from trainables.models._plain import PlainNetwork
from trainables.models._weights import refuse
from trainables.trainable import TransferModel

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = ("trainables.models", "trainables.models._head_dropout")
IGNORES = {
    "unfreeze_every": "no stage has weights",
    "layer_decay": "no stage has weights, so there is one layer",
}
HEAD_ONLY = True
"""No stage has weights."""


def build(config: Config, *, shape: tuple[int, int, int], n_classes: int, weights: str) -> TransferModel:
    """Build a linear classifier of images of `shape` (channels, height, width).

    Raises SetupError if pretrained weights are asked for: there are none.
    """
    refuse(weights, "softmax_regression")
    return TransferModel({"flatten": nn.Flatten()}, _head_dropout.linear(prod(shape), n_classes, config))


def plain_network(
    config: Config, model: TransferModel, *, shape: tuple[int, int, int], n_classes: int
) -> PlainNetwork | None:
    """Return the network as one sequence of torch's layers."""
    return _plain.layers(model)

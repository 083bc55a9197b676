"""Logistic regression: a linear layer with one output on the pixels, for two classes."""

from __future__ import annotations

from collections import OrderedDict
from math import prod

from torch import nn

from trainables.errors import SetupError
from trainables.hyperparameters import Config
from trainables.models import _head_dropout, _heads
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
    """Build a classifier of images of `shape` (channels, height, width) into two classes.

    The linear layer has one output z, and the logits are 0 and z. So their cross-entropy is the binary cross-entropy of
    z, and the probability of the second class is the logistic function of z. Raises SetupError if there are not two
    classes, or if pretrained weights are asked for: there are none.
    """
    refuse(weights, "logistic_regression")
    if n_classes != 2:
        raise SetupError(f"`model` logistic_regression needs a data set of 2 classes, but this has {n_classes}")
    layers = {"unit": _head_dropout.linear(prod(shape), 1, config), "zero": _heads.ZeroFirst()}
    return TransferModel({"flatten": nn.Flatten()}, nn.Sequential(OrderedDict(layers)))


def plain_network(config: Config, model: TransferModel, *, shape: tuple[int, int, int], n_classes: int) -> PlainNetwork:
    """Return the network as one sequence of torch's layers. The padding puts the 0 in front of z."""
    code = f"""from torch import nn

model = nn.Sequential(
    nn.Flatten(),
    nn.Linear({prod(shape)}, 1),
    nn.ZeroPad1d((1, 0)),
)
"""
    return PlainNetwork(code, {"head.unit.": "1."})

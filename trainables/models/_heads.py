"""The last layer of a model. It always starts from random weights, and has one output for each class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainables.hyperparameters import Config, read_choice

HYPERPARAMETERS = {"head_init": ["default", "xavier_normal"]}
MEANINGS = {"head_init": "initial weights of the last layer"}


def linear(n_features: int, n_classes: int, config: Config) -> nn.Linear:
    """Build a linear layer from (n, n_features) to (n, n_classes), initialised as `head_init` says.

    `default` is PyTorch's own initialisation: weights and bias are uniform within 1 / sqrt(n_features). `xavier_normal`
    draws the weights from a normal distribution of variance 2 / (n_features + n_classes), and sets the bias to zero
    (Glorot and Bengio 2010, who draw from a uniform distribution). Raises ValueError for any other `head_init`.
    """
    layer = nn.Linear(n_features, n_classes)
    initialise(layer, config)
    return layer


def convolution(n_features: int, n_classes: int, config: Config) -> nn.Conv2d:
    """Build a 1x1 convolution from (n, n_features, h, w) to (n, n_classes, h, w), initialised like `linear`.

    It applies the same linear layer at each position.
    """
    layer = nn.Conv2d(n_features, n_classes, kernel_size=1)
    initialise(layer, config)
    return layer


class ZeroFirst(nn.Module):
    """Puts a zero in front of a value: (..., 1) to (..., 2)."""

    def forward(self, values: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(values), values], dim=-1)


def initialise(layer: nn.Linear | nn.Conv2d, config: Config) -> None:
    """Set the initial weights of a layer as `head_init` says."""
    if read_choice(config, "head_init", "default", ("default", "xavier_normal")) == "xavier_normal":
        nn.init.xavier_normal_(layer.weight)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)

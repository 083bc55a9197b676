"""Dropout of the features before a linear head."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from trainables.hyperparameters import FROM_0_BELOW_1, Config, read_float
from trainables.models import _heads

HYPERPARAMETERS = {
    "dropout": "share of the features dropped before the last layer while it trains, 0 to below 1; default 0",
}
RANGES = {"dropout": "0 <= float < 1"}


class LinearWithDropout(nn.Linear):
    """A linear layer that drops features of its input in training mode. Its weights have the names of nn.Linear."""

    def __init__(self, n_features: int, n_classes: int, rate: float) -> None:
        super().__init__(n_features, n_classes)
        self.rate = rate

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(functional.dropout(input, self.rate, self.training))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, rate={self.rate}"


def linear(n_features: int, n_classes: int, config: Config) -> nn.Linear:
    """Build the linear layer of `_heads.linear`, after dropout with the rate `dropout`.

    Dropout as in Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014. Raises
    ValueError for a wrong `dropout` or `head_init`.
    """
    rate = read_float(config, "dropout", 0.0, FROM_0_BELOW_1)
    if rate == 0:
        return _heads.linear(n_features, n_classes, config)
    layer = LinearWithDropout(n_features, n_classes, rate)
    _heads.initialise(layer, config)
    return layer

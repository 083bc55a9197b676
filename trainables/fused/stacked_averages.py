"""Stacked averages: the moving averages of the weights of many small networks in one table."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trainables.fused.stacked_parameters import StackedParameters
from trainables.training.weight_average import WeightAverage


class StackedAverages:
    """The averages of the stacked parameters. Without an average, a network has its weights in the row instead."""

    def __init__(self, parameters: StackedParameters, averages: Sequence[WeightAverage | None]) -> None:
        """Copy the average of each head into a table, and replace it by views of the table."""
        self._parameters = parameters
        self._averages = averages
        self._table = parameters.values.clone()
        weights = [1.0 if average is None else 1 - average.decay for average in averages]
        self._weights = torch.tensor(weights, device=self._table.device)[:, None]
        """The share of the new weights in each update, (n_networks, 1)."""
        for row, average in enumerate(averages):
            if average is not None:
                for i, parameter in enumerate(average.model.head.parameters()):
                    parameter.data = parameters.view(self._table, row, i).copy_(parameter.data)

    @property
    def is_current(self) -> bool:
        """Whether the averages still hold the views. Loading a state keeps them."""
        return all(
            parameter.data_ptr() == self._parameters.view(self._table, row, i).data_ptr()
            for row, average in enumerate(self._averages)
            if average is not None
            for i, parameter in enumerate(average.model.head.parameters())
        )

    def update(self, k: int) -> None:
        """Move the averages of the first `k` networks towards their weights."""
        self._table[:k].lerp_(self._parameters.values[:k], self._weights[:k])

    def values_and_gradients(self, i: int) -> tuple[Tensor, Tensor]:
        """Return the averages of parameter number `i` in all networks, (n_networks, *shape), and its gradients."""
        return self._parameters.columns(self._table, i), self._parameters.columns(self._parameters.gradients, i)

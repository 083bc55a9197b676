"""Stacked layers: one layer of each of many networks at once, forward and backward.

Values are (k, n, width): n samples for each of k networks. Where k is smaller than the stack, they are
of its first networks. Gradients are written by hand: PyTorch's own bookkeeping takes longer than a small layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from trainables.models._heads import ZeroFirst

Column = Callable[[int], tuple[Tensor, Tensor]]
"""Of parameter number i, the values of all networks, (k, *shape), and where their gradients go."""


class Layer(Protocol):
    """One layer of each network."""

    def forward(self, values: Tensor) -> Tensor: ...

    def backward(self, values: Tensor, gradient: Tensor) -> Tensor | None:
        """From what entered, and the gradient of what left: that of what entered, None where nobody wants it.

        Those of its parameters are written to where they belong. `gradient` may be changed.
        """
        ...


def plain(head: nn.Module) -> list[nn.Module] | None:
    """The layers of a head in order, without those that do nothing; None where one of them cannot be stacked."""
    if type(head) is nn.Sequential:
        layers: list[nn.Module] = []
        for child in head:
            found = plain(child)
            if found is None:
                return None
            layers += found
        return layers
    does_nothing = type(head) is nn.Identity or (type(head) is nn.Dropout and head.p == 0)
    if does_nothing or (type(head) is nn.Flatten and (head.start_dim, head.end_dim) == (1, -1)):
        return []
    return [head] if type(head) in (nn.Linear, nn.ReLU, ZeroFirst) else None


def stacked(head: nn.Module, column: Column, dtype: torch.dtype) -> list[Layer]:
    """The layers of networks of the form of `head`, which is plain; products are computed in `dtype`."""
    return list(_stacked(plain(head) or (), column, dtype))


def _stacked(layers: Sequence[nn.Module], column: Column, dtype: torch.dtype) -> Iterator[Layer]:
    n_parameters = 0
    for layer in layers:
        if isinstance(layer, nn.Linear):
            bias = None if layer.bias is None else column(n_parameters + 1)
            yield _Linear(*column(n_parameters), bias, dtype, is_first=n_parameters == 0)
            n_parameters += 1 if bias is None else 2
        else:
            yield _ReLU() if isinstance(layer, nn.ReLU) else _ZeroFirst()


@dataclass(frozen=True)
class _Linear:
    weight: Tensor
    weight_gradient: Tensor
    bias: tuple[Tensor, Tensor] | None
    dtype: torch.dtype
    is_first: bool
    """Nobody wants the gradient of what enters it."""

    def forward(self, values: Tensor) -> Tensor:
        k = len(values)
        values, weight = values.to(self.dtype), self.weight[:k].transpose(1, 2).to(self.dtype)
        if self.bias is None:
            return torch.bmm(values, weight)
        return torch.baddbmm(self.bias[0][:k, None].to(self.dtype), values, weight)

    def backward(self, values: Tensor, gradient: Tensor) -> Tensor | None:
        k, gradient = len(values), gradient.to(self.dtype)
        if self.dtype == torch.float32:  # straight to where it belongs
            torch.bmm(gradient.transpose(1, 2), values, out=self.weight_gradient[:k])
        else:
            self.weight_gradient[:k] = torch.bmm(gradient.transpose(1, 2), values.to(self.dtype))
        if self.bias is not None:
            self.bias[1][:k] = gradient.sum(dim=1)
        return None if self.is_first else torch.bmm(gradient, self.weight[:k].to(self.dtype))


class _ReLU:
    def forward(self, values: Tensor) -> Tensor:
        return values.relu()

    def backward(self, values: Tensor, gradient: Tensor) -> Tensor:
        return gradient.masked_fill(values <= 0, 0)


class _ZeroFirst:
    def forward(self, values: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(values), values], dim=-1)

    def backward(self, values: Tensor, gradient: Tensor) -> Tensor:
        return gradient[..., 1:]

"""Stacked layers: the same layer of many networks, computed together, forward and backward.

Values have the shape (k, n, width): n samples for each of k networks. If k is smaller than the number of stacked
networks, these are the first k. Gradients are computed without autograd, because its overhead takes longer than a small
layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from trainables.models._heads import ZeroFirst

ValuesAndGradients = Callable[[int], tuple[Tensor, Tensor]]
"""Takes the index of a parameter. Returns its values in all networks, (n_networks, *shape), and the tensor for their
gradients, of the same shape."""


class Layer(Protocol):
    """A layer of all networks."""

    def forward(self, values: Tensor) -> Tensor:
        """Return the output of the layer for inputs (k, n, width)."""
        ...

    def backward(self, values: Tensor, gradient: Tensor) -> Tensor | None:
        """Compute gradients from the inputs of the layer and the gradient of its outputs.

        Returns the gradient of the inputs, or None if it is not needed. The gradients of the parameters are written to
        the tensors for them. `gradient` may be modified.
        """
        ...


def stackable_layers(head: nn.Module) -> list[nn.Module] | None:
    """Return the layers of a head in order, or None if one of them cannot be stacked.

    Layers without an effect, such as Identity, are left out.
    """
    if type(head) is nn.Sequential:
        layers: list[nn.Module] = []
        for child in head:
            child_layers = stackable_layers(child)
            if child_layers is None:
                return None
            layers += child_layers
        return layers
    has_no_effect = type(head) is nn.Identity or (type(head) is nn.Dropout and head.p == 0)
    # Inputs are already flat.
    if has_no_effect or (type(head) is nn.Flatten and (head.start_dim, head.end_dim) == (1, -1)):
        return []
    return [head] if type(head) in (nn.Linear, nn.ReLU, ZeroFirst) else None


def stack_layers(head: nn.Module, parameters: ValuesAndGradients, dtype: torch.dtype) -> list[Layer]:
    """Return the stacked layers of networks whose layers are those of `head`, all of them stackable.

    Matrix products are computed in `dtype`.
    """
    return list(_stack(stackable_layers(head) or (), parameters, dtype))


def _stack(layers: Sequence[nn.Module], parameters: ValuesAndGradients, dtype: torch.dtype) -> Iterator[Layer]:
    n_parameters = 0
    for layer in layers:
        if isinstance(layer, nn.Linear):
            bias = None if layer.bias is None else parameters(n_parameters + 1)
            yield _Linear(*parameters(n_parameters), bias, dtype, is_first=n_parameters == 0)
            n_parameters += 1 if bias is None else 2
        else:
            yield _ReLU() if isinstance(layer, nn.ReLU) else _ZeroFirst()


@dataclass(frozen=True)
class _Linear:
    weight: Tensor
    weight_gradient: Tensor
    bias: tuple[Tensor, Tensor] | None
    """The values and the tensor for the gradients."""
    dtype: torch.dtype
    is_first: bool
    """Whether no layer with parameters comes before, so that the gradient of the inputs is not needed."""

    def forward(self, values: Tensor) -> Tensor:
        k = len(values)
        values, weight = values.to(self.dtype), self.weight[:k].transpose(1, 2).to(self.dtype)
        if self.bias is None:
            return torch.bmm(values, weight)
        return torch.baddbmm(self.bias[0][:k, None].to(self.dtype), values, weight)

    def backward(self, values: Tensor, gradient: Tensor) -> Tensor | None:
        k, gradient = len(values), gradient.to(self.dtype)
        if self.dtype == torch.float32:  # written directly, without a temporary tensor
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

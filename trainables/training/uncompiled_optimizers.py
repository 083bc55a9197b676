"""PyTorch's optimizers without its compiler: the same steps, sooner begun.

Each method below calls PyTorch's own, without the wrapper around it that imports torch._dynamo, to keep the method out
of compiled code. That import takes as long as PyTorch's own; nothing here is ever part of compiled code.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import optim
from torch.optim import Optimizer

_add_param_group = inspect.unwrap(Optimizer.add_param_group)
_zero_grad = inspect.unwrap(Optimizer.zero_grad)
_state_dict = inspect.unwrap(Optimizer.state_dict)
_load_state_dict = inspect.unwrap(Optimizer.load_state_dict)


class _Eager(Optimizer):
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        _add_param_group(self, param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        _zero_grad(self, set_to_none)

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = _state_dict(self)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        _load_state_dict(self, state_dict)


def _eager_step(kind: type[Optimizer]) -> Callable[..., Any]:
    """The step of an optimizer that is not differentiated through."""
    step: Callable[..., Any] = torch.no_grad()(inspect.unwrap(kind.step))
    return step


class SGD(_Eager, optim.SGD):
    """torch.optim.SGD."""

    step = _eager_step(optim.SGD)


class Adam(_Eager, optim.Adam):
    """torch.optim.Adam."""

    step = _eager_step(optim.Adam)


class AdamW(_Eager, optim.AdamW):
    """torch.optim.AdamW."""

    step = _eager_step(optim.AdamW)

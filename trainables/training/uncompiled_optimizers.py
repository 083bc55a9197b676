"""PyTorch's optimizers without an import of its compiler. Their steps are the same, but a process starts faster.

PyTorch wraps some methods of its optimizers, to keep them out of compiled code. The first call of a wrapper imports
torch._dynamo, which takes as long as importing torch itself. Optimizers are never part of compiled code here, so the
methods below call PyTorch's own methods without the wrapper.
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


class _UncompiledOptimizer(Optimizer):
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        _add_param_group(self, param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        _zero_grad(self, set_to_none)

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = _state_dict(self)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        _load_state_dict(self, state_dict)


def _uncompiled_step(optimizer_class: type[Optimizer]) -> Callable[..., Any]:
    """Return the `step` of an optimizer without its wrapper. It records no gradients."""
    step: Callable[..., Any] = torch.no_grad()(inspect.unwrap(optimizer_class.step))
    return step


class SGD(_UncompiledOptimizer, optim.SGD):
    """torch.optim.SGD without the wrapper."""

    step = _uncompiled_step(optim.SGD)


class Adam(_UncompiledOptimizer, optim.Adam):
    """torch.optim.Adam without the wrapper."""

    step = _uncompiled_step(optim.Adam)


class AdamW(_UncompiledOptimizer, optim.AdamW):
    """torch.optim.AdamW without the wrapper."""

    step = _uncompiled_step(optim.AdamW)


class LBFGS(_UncompiledOptimizer, optim.LBFGS):
    """torch.optim.LBFGS without the wrapper."""

    step = _uncompiled_step(optim.LBFGS)

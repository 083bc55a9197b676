"""Stacks: the parameters of many small networks as one table, and what optimizers do to it.

Each network has a row. Its own parameters and the state of its own optimizer are views of the row, so
nothing is copied back after a step. A step may be of the first rows alone: networks whose epoch has
more steps than others' stand first. The updates are those of PyTorch's SGD, Adam and AdamW, each row
with its own numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.optim import Optimizer

from trainables.training import uncompiled_optimizers

ALIGNED = 16
"""Numbers: each parameter begins at a multiple of it within its row."""
ROWWISE = 2**12
"""Numbers a row, from which on a CPU updates rows one by one, each in one pass by the kernel of PyTorch's optimizer."""
STATES = {
    "sgd": (),
    "momentum": ("momentum_buffer",),
    "nag": ("momentum_buffer",),
    "adam": ("exp_avg", "exp_avg_sq"),
    "adamw": ("exp_avg", "exp_avg_sq"),
}
"""What an optimizer keeps of each number, by its kind."""


def kind(optimizer: Optimizer) -> str | None:
    """sgd (without momentum), momentum, nag, adam or adamw; None of any other optimizer, or with other options."""
    if len(optimizer.param_groups) != 1:
        return None
    (group,) = optimizer.param_groups
    if group.get("maximize") or group.get("amsgrad") or group.get("dampening"):
        return None
    if type(optimizer) in (optim.SGD, uncompiled_optimizers.SGD):
        return "nag" if group["nesterov"] else "momentum" if group["momentum"] else "sgd"
    if type(optimizer) in (optim.Adam, uncompiled_optimizers.Adam):
        return "adam"
    return "adamw" if type(optimizer) in (optim.AdamW, uncompiled_optimizers.AdamW) else None


class StackedParameters:
    """What trains in networks of one form, its gradients, and the states of their optimizers, all of one kind."""

    def __init__(self, networks: Sequence[nn.Module], optimizers: Sequence[Optimizer]) -> None:
        """Takes over what the networks and optimizers hold, and hands them views of it."""
        self._networks, self._optimizers = networks, optimizers
        self._kind = kind(optimizers[0]) or ""
        self._like = list(networks[0].parameters())
        lengths = [-(-each.numel() // ALIGNED) * ALIGNED for each in self._like]
        self._starts = list(accumulate(lengths, initial=0))
        shape, device = (len(networks), self._starts[-1]), self._like[0].device
        self._values, self.gradients = torch.zeros(shape, device=device), torch.zeros(shape, device=device)
        self._states = {name: torch.zeros(shape, device=device) for name in STATES[self._kind]}
        # PyTorch counts the steps of each parameter by itself.
        self._steps = torch.zeros(len(networks), len(self._like), device=device)
        self._handed = [self._take_over(row) for row in range(len(networks))]
        self._rowwise = device.type == "cpu" and shape[1] >= ROWWISE
        tables = [self._values, self.gradients, *self._states.values(), self._steps[:, 0]]
        self._lists = [[[table[row]] for table in tables] for row in range(len(networks))]
        self._numbers: dict[str, Tensor] = {}
        self.refresh()

    def _take_over(self, row: int) -> list[dict[str, Tensor]]:
        """The views that the network and the optimizer of a row hold from now on, for each parameter."""
        handed, state = [], self._optimizers[row].state
        for i, parameter in enumerate(self._networks[row].parameters()):
            parameter.data = self._view(self._values, row, i).copy_(parameter.data)
            views = {name: self._view(table, row, i) for name, table in self._states.items()}
            if "exp_avg" in views:
                views["step"] = self._steps[row, i]
            if views:
                for name, before in state[parameter].items():
                    views[name].copy_(before)
                state[parameter].update(views)
            handed.append(views)
        return handed

    def _view(self, table: Tensor, row: int, i: int) -> Tensor:
        like = self._like[i]
        return table[row, self._starts[i] : self._starts[i] + like.numel()].view(like.shape)

    def column(self, i: int) -> tuple[Tensor, Tensor]:
        """Of parameter number i, the values of all networks, (k, *shape), and where their gradients go."""
        like = self._like[i]
        numbers = slice(self._starts[i], self._starts[i] + like.numel())
        values, gradients = (table[:, numbers].view(-1, *like.shape) for table in (self._values, self.gradients))
        return values, gradients

    @property
    def is_current(self) -> bool:
        """Whether its views are still what the networks and optimizers hold: what was loaded takes their place."""
        for row, (network, optimizer) in enumerate(zip(self._networks, self._optimizers, strict=True)):
            for i, parameter in enumerate(network.parameters()):
                views, state = self._handed[row][i], optimizer.state
                if parameter.data_ptr() != self._view(self._values, row, i).data_ptr():
                    return False
                if views and any(state[parameter].get(name) is not view for name, view in views.items()):
                    return False
        return True

    def refresh(self) -> None:
        """Read the numbers of each optimizer anew: its schedule changes the learning rate."""
        groups = [optimizer.param_groups[0] for optimizer in self._optimizers]
        columns = {name: [group[name] for group in groups] for name in ("lr", "weight_decay")}
        if self._kind in ("momentum", "nag"):
            columns["momentum"] = [group["momentum"] for group in groups]
        if "exp_avg" in self._states:
            columns["eps"] = [group["eps"] for group in groups]
            columns["beta1"], columns["beta2"] = map(list, zip(*(group["betas"] for group in groups), strict=True))
        self._rows = [{name: column[row] for name, column in columns.items()} for row in range(len(groups))]
        device = self._values.device
        self._numbers = {
            name: torch.tensor(column, dtype=torch.float64, device=device)[:, None] for name, column in columns.items()
        }

    def clip(self, limits: Tensor) -> None:
        """Scale the gradients of the first rows down to their limits, (k, 1), of their norm."""
        gradients = self.gradients[: len(limits)]
        factor = (limits / (torch.linalg.vector_norm(gradients, dim=1, keepdim=True) + 1e-6)).clamp(max=1.0)
        gradients.mul_(torch.where(limits.isinf(), 1.0, factor))

    @torch.no_grad()
    def penalise(self, factors: Tensor) -> None:
        """Add to the gradients of the weights of the first rows those of `factors`, (k,), times their squares' sum."""
        for i, like in enumerate(self._like):
            if like.ndim > 1:
                values, gradients = (each[: len(factors)] for each in self.column(i))
                gradients.addcmul_(values, 2 * factors.reshape(-1, *[1] * like.ndim))

    def update(self, k: int) -> None:
        """A step of the optimizers of the first k networks."""
        if "exp_avg" in self._states:
            self._steps[:k] += 1
        if self._rowwise:
            for row in range(k):
                self._update_row(row)
        elif "exp_avg" in self._states:
            self._adam(k)
        else:
            self._sgd(k)

    def _update_row(self, row: int) -> None:
        values, gradients, *states, steps = self._lists[row]
        options: dict[str, Any] = {**self._rows[row], "maximize": False}
        if "exp_avg" in self._states:
            step = torch._fused_adam_ if self._kind == "adam" else torch._fused_adamw_
            step(values, gradients, states[0], states[1], [], steps, amsgrad=False, **options)
        else:
            buffers, momentum = (states[0], options.pop("momentum")) if states else ([], 0.0)
            options |= {"momentum": momentum, "dampening": 0.0, "nesterov": self._kind == "nag"}
            torch._fused_sgd_(values, gradients, buffers, is_first_step=False, **options)

    def _sgd(self, k: int) -> None:
        values, gradients, numbers = self._values[:k], self.gradients[:k], self._float(k)
        gradients.addcmul_(values, numbers["weight_decay"])
        if self._states:
            buffer = self._states["momentum_buffer"][:k]
            buffer.mul_(numbers["momentum"]).add_(gradients)
            gradients = gradients.addcmul_(buffer, numbers["momentum"]) if self._kind == "nag" else buffer
        values.addcmul_(gradients, numbers["lr"], value=-1)

    def _adam(self, k: int) -> None:
        values, gradients, numbers = self._values[:k], self.gradients[:k], self._float(k)
        mean, square = (table[:k] for table in self._states.values())
        if self._kind == "adamw":
            values.mul_(1 - numbers["lr"] * numbers["weight_decay"])
        else:
            gradients.addcmul_(values, numbers["weight_decay"])
        mean.lerp_(gradients, 1 - numbers["beta1"])
        square.mul_(numbers["beta2"]).addcmul_(gradients, gradients * (1 - numbers["beta2"]))
        steps = self._steps[:k, :1].double()
        first, second = (1 - self._numbers[name][:k] ** steps for name in ("beta1", "beta2"))
        root = square.sqrt().div_(second.sqrt().float()).add_(numbers["eps"])
        values.addcmul_(mean / root, (self._numbers["lr"][:k] / first).float(), value=-1)

    def _float(self, k: int) -> dict[str, Tensor]:
        return {name: column[:k].float() for name, column in self._numbers.items()}

"""Stacked parameters: the parameters of many small networks in one table, and the optimizer steps on it.

Each network has a row. Its parameters and the state of its optimizer are views of the row, so nothing is copied back
after a step. A step may apply to the first rows only: networks with more steps in an epoch come first. The updates are
those of PyTorch's SGD, Adam and AdamW, and each row has its own hyperparameters. Parameters of one row may differ in
their weight decay.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn, optim
from torch.optim import Optimizer

from trainables.training import uncompiled_optimizers

ALIGNMENT = 16
"""Each parameter starts at a multiple of this many scalars in its row."""
MIN_ROWWISE_SIZE = 2**12
"""The number of scalars in a row from which a CPU updates each row separately.

PyTorch's fused optimizer kernels then update a row in one pass.
"""
STATE_NAMES = {
    "sgd": (),
    "momentum": ("momentum_buffer",),
    "nag": ("momentum_buffer",),
    "adam": ("exp_avg", "exp_avg_sq"),
    "adamw": ("exp_avg", "exp_avg_sq"),
}
"""The state that each kind of optimizer has for each parameter, by PyTorch's names. Adam also counts its steps."""


def optimizer_kind(optimizer: Optimizer) -> str | None:
    """Return sgd (without momentum), momentum, nag, adam or adamw.

    Returns None for any other optimizer, for parameter groups that differ in more than their weight decay, and for
    options that are not supported.
    """
    group, *others = [
        {name: value for name, value in group.items() if name not in ("params", "weight_decay")}
        for group in optimizer.param_groups
    ]
    if any(other != group for other in others):
        return None
    if group.get("maximize") or group.get("amsgrad") or group.get("dampening"):
        return None
    if type(optimizer) in (optim.SGD, uncompiled_optimizers.SGD):
        return "nag" if group["nesterov"] else "momentum" if group["momentum"] else "sgd"
    if type(optimizer) in (optim.Adam, uncompiled_optimizers.Adam):
        return "adam"
    return "adamw" if type(optimizer) in (optim.AdamW, uncompiled_optimizers.AdamW) else None


class _Span(NamedTuple):
    """Parameters of a row that are updated together."""

    weight_decay: float
    tensors: list[list[Tensor]]
    """The values, gradients and states, each as a list of one tensor, as the fused kernels take them."""


class StackedParameters:
    """The parameters, gradients and optimizer states of networks with the same layers and one kind of optimizer."""

    def __init__(self, networks: Sequence[nn.Module], optimizers: Sequence[Optimizer]) -> None:
        """Copy the parameters and states into the table, and replace them by views of the table."""
        self._networks, self._optimizers = networks, optimizers
        self._kind = optimizer_kind(optimizers[0]) or ""
        self._templates = list(networks[0].parameters())
        """The parameters of the first network. Those of the others have the same shapes."""
        lengths = [-(-parameter.numel() // ALIGNMENT) * ALIGNMENT for parameter in self._templates]
        self._starts = list(accumulate(lengths, initial=0))
        """The column at which each parameter starts, and the number of columns."""
        shape, device = (len(networks), self._starts[-1]), self._templates[0].device
        self.values, self.gradients = torch.zeros(shape, device=device), torch.zeros(shape, device=device)
        self._states = {name: torch.zeros(shape, device=device) for name in STATE_NAMES[self._kind]}
        # Adam counts the steps of each parameter separately.
        self._step_counts = torch.zeros(len(networks), len(self._templates), device=device)
        self._state_views = [self._take_over(row) for row in range(len(networks))]
        self._is_rowwise = device.type == "cpu" and shape[1] >= MIN_ROWWISE_SIZE
        self._spans: list[list[_Span]] = []
        """The parts of each row whose parameters have one weight decay."""
        self._hyperparameters: dict[str, Tensor] = {}
        """Columns of float64, (n_networks, 1). `refresh` reads them."""

    def _take_over(self, row: int) -> list[dict[str, Tensor]]:
        """Replace the parameters and states of the network in `row` by views of the table.

        Returns the views of the state of each parameter, by name.
        """
        state_views, state = [], self._optimizers[row].state
        for i, parameter in enumerate(self._networks[row].parameters()):
            parameter.data = self.view(self.values, row, i).copy_(parameter.data)
            views = {name: self.view(table, row, i) for name, table in self._states.items()}
            if "exp_avg" in views:
                views["step"] = self._step_counts[row, i]
            if views:
                for name, value in state[parameter].items():
                    views[name].copy_(value)
                state[parameter].update(views)
            state_views.append(views)
        return state_views

    def view(self, table: Tensor, row: int, i: int) -> Tensor:
        """Return the view of parameter number `i` in a row of a table, in the shape of the parameter."""
        template = self._templates[i]
        return table[row, self._starts[i] : self._starts[i] + template.numel()].view(template.shape)

    def values_and_gradients(self, i: int) -> tuple[Tensor, Tensor]:
        """Return the values of parameter number `i` in all networks, (n_networks, *shape), and its gradients."""
        return self.columns(self.values, i), self.columns(self.gradients, i)

    def columns(self, table: Tensor, i: int) -> Tensor:
        """Return the view of parameter number `i` in all rows of a table, (n_networks, *shape)."""
        template = self._templates[i]
        return table[:, self._starts[i] : self._starts[i] + template.numel()].view(-1, *template.shape)

    @property
    def is_current(self) -> bool:
        """Whether the networks and optimizers still hold the views. Loading a state replaces them."""
        for row, (network, optimizer) in enumerate(zip(self._networks, self._optimizers, strict=True)):
            for i, parameter in enumerate(network.parameters()):
                views, state = self._state_views[row][i], optimizer.state
                if parameter.data_ptr() != self.view(self.values, row, i).data_ptr():
                    return False
                if views and any(state[parameter].get(name) is not view for name, view in views.items()):
                    return False
        return True

    def refresh(self, factors: Sequence[Sequence[float]]) -> None:
        """Read the hyperparameters of each optimizer for an epoch, and leave it at the learning rate of its last step.

        `factors` holds the factor on the learning rate in each step of the epoch, for each network. Networks with more
        steps come first.
        """
        groups = [optimizer.param_groups[0] for optimizer in self._optimizers]
        names = ["momentum"] if self._kind in ("momentum", "nag") else []
        columns = {name: [group[name] for group in groups] for name in names}
        if "exp_avg" in self._states:
            columns["eps"] = [group["eps"] for group in groups]
            columns["beta1"], columns["beta2"] = map(list, zip(*(group["betas"] for group in groups), strict=True))
        self._row_hyperparameters = [
            {name: column[row] for name, column in columns.items()} for row in range(len(groups))
        ]
        decays = [self._weight_decays(row) for row in range(len(groups))]
        if self._is_rowwise:
            self._spans = [self._row_spans(row, decays[row]) for row in range(len(groups))]
        device = self.values.device
        self._hyperparameters = {
            name: torch.tensor(column, dtype=torch.float64, device=device)[:, None] for name, column in columns.items()
        }
        decay = torch.tensor(decays, dtype=torch.float64, device=device)
        if any(len(set(each)) > 1 for each in decays):  # one for each column instead of each parameter
            widths = torch.tensor(self._starts, device=device).diff()
            decay = decay.repeat_interleave(widths, dim=1)
        else:
            decay = decay[:, :1]
        self._hyperparameters["weight_decay"] = decay
        self._float_hyperparameters = {name: column.float() for name, column in self._hyperparameters.items()}
        self._rates = self._all_rates(factors)
        self._rate_table = torch.tensor(self._rates, dtype=torch.float64, device=device)[:, :, None]
        self._float_rate_table = self._rate_table.float()

    def _all_rates(self, factors: Sequence[Sequence[float]]) -> list[list[float]]:
        """Return the learning rates of each step of an epoch: a list for each step, or one for all if none changes.

        The list of a step has a rate for each network. Networks whose epoch is over have that of their last step.
        """
        n_steps, rows = len(factors[0]), []
        for optimizer, each in zip(self._optimizers, factors, strict=True):
            for group in optimizer.param_groups:  # all have the same rate, see `optimizer_kind`
                initial = group.setdefault("initial_lr", group["lr"])
                group["lr"] = initial * each[-1]
            rates = [initial * factor for factor in each]
            rows.append(rates + rates[-1:] * (n_steps - len(rates)))
        if all(rates.count(rates[0]) == n_steps for rates in rows):
            return [[rates[0] for rates in rows]]
        return [list(rates) for rates in zip(*rows, strict=True)]

    def _weight_decays(self, row: int) -> list[float]:
        """Return the weight decay of each parameter of the network in a row."""
        groups = self._optimizers[row].param_groups
        decays = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
        return [decays[id(parameter)] for parameter in self._networks[row].parameters()]

    def _row_spans(self, row: int, decays: Sequence[float]) -> list[_Span]:
        """Divide a row into spans of parameters with the same weight decay, one after another."""
        tables = [self.values, self.gradients, *self._states.values()]
        spans, first = [], 0
        for last, decay in enumerate(decays):
            if last + 1 == len(decays) or decays[last + 1] != decay:
                columns = slice(self._starts[first], self._starts[last + 1])
                spans.append(_Span(decay, [[table[row, columns]] for table in tables]))
                first = last + 1
        return spans

    def clip(self, limits: Tensor) -> None:
        """Scale the gradients of the first k rows down if their norm exceeds the row's limit. `limits` is (k, 1)."""
        gradients = self.gradients[: len(limits)]
        factor = (limits / (torch.linalg.vector_norm(gradients, dim=1, keepdim=True) + 1e-6)).clamp(max=1.0)
        gradients.mul_(torch.where(limits.isinf(), 1.0, factor))

    @torch.no_grad()
    def add_l2_gradients(self, factors: Tensor) -> None:
        """Add the gradients of the L2 penalty to those of the first k rows.

        The penalty is `factors`, (k,), times the sum of the squares of the weights. Biases are left out.
        """
        for i, template in enumerate(self._templates):
            if template.ndim > 1:
                values, gradients = (table[: len(factors)] for table in self.values_and_gradients(i))
                gradients.addcmul_(values, 2 * factors.reshape(-1, *[1] * template.ndim))

    def update(self, k: int, step: int) -> None:
        """Make step number `step` of the epoch of the optimizers of the first `k` networks."""
        number = min(step, len(self._rates) - 1)
        if "exp_avg" in self._states:
            self._step_counts[:k] += 1
        if self._is_rowwise:
            for row in range(k):
                self._update_row(row, self._rates[number][row])
        elif "exp_avg" in self._states:
            self._adam(k, number)
        else:
            self._sgd(k, number)

    def _update_row(self, row: int, rate: float) -> None:
        for weight_decay, (values, gradients, *states) in self._spans[row]:
            options: dict[str, Any] = {**self._row_hyperparameters[row], "weight_decay": weight_decay}
            options |= {"lr": rate, "maximize": False}
            if "exp_avg" in self._states:
                kernel = torch._fused_adam_ if self._kind == "adam" else torch._fused_adamw_
                step_counts = [self._step_counts[row, 0]]
                kernel(values, gradients, states[0], states[1], [], step_counts, amsgrad=False, **options)
            else:
                buffers, momentum = (states[0], options.pop("momentum")) if states else ([], 0.0)
                options |= {"momentum": momentum, "dampening": 0.0, "nesterov": self._kind == "nag"}
                torch._fused_sgd_(values, gradients, buffers, is_first_step=False, **options)

    def _sgd(self, k: int, number: int) -> None:
        values, gradients, hyperparameters = self.values[:k], self.gradients[:k], self._float_columns(k)
        gradients.addcmul_(values, hyperparameters["weight_decay"])
        if self._states:
            buffer = self._states["momentum_buffer"][:k]
            buffer.mul_(hyperparameters["momentum"]).add_(gradients)
            gradients = gradients.addcmul_(buffer, hyperparameters["momentum"]) if self._kind == "nag" else buffer
        values.addcmul_(gradients, self._float_rate_table[number, :k], value=-1)

    def _adam(self, k: int, number: int) -> None:
        values, gradients, hyperparameters = self.values[:k], self.gradients[:k], self._float_columns(k)
        exp_avg, exp_avg_sq = (table[:k] for table in self._states.values())
        if self._kind == "adamw":
            values.mul_(1 - self._float_rate_table[number, :k] * hyperparameters["weight_decay"])
        else:
            gradients.addcmul_(values, hyperparameters["weight_decay"])
        exp_avg.lerp_(gradients, 1 - hyperparameters["beta1"])
        exp_avg_sq.mul_(hyperparameters["beta2"]).addcmul_(gradients, gradients * (1 - hyperparameters["beta2"]))
        step_counts = self._step_counts[:k, :1].double()
        correction1, correction2 = (1 - self._hyperparameters[name][:k] ** step_counts for name in ("beta1", "beta2"))
        denominator = exp_avg_sq.sqrt().div_(correction2.sqrt().float()).add_(hyperparameters["eps"])
        values.addcmul_(exp_avg / denominator, (self._rate_table[number, :k] / correction1).float(), value=-1)

    def _float_columns(self, k: int) -> dict[str, Tensor]:
        """Return the hyperparameters of the first `k` networks as float32 columns, (k, 1).

        The weight decay is (k, n_columns) if the parameters of a network differ in it.
        """
        return {name: column[:k] for name, column in self._float_hyperparameters.items()}

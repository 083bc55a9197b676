"""Optimizers and schedules by name (ground floor of training): what a regime hands its parameters to."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from trainables.hyperparameters import (
    ABOVE_0,
    ABOVE_0_BELOW_1,
    ABOVE_0_TO_1,
    AT_LEAST_0,
    FROM_0_BELOW_1,
    Config,
    choice,
    real,
    whole,
)

HYPERPARAMETERS = {
    "optimizer": ["sgd", "nag", "adam", "adamw"],
    "lr": "learning rate, above 0; default 1e-3",
    "momentum": "of sgd (0 to below 1, default 0) and nag (above 0 to below 1, default 0.9); adam and adamw ignore it",
    "weight_decay": "at least 0; decoupled in adamw (default 0.01), an L2 penalty in the others (default 0)",
    "schedule": ["constant", "step", "exponential"],
    "step_size": "epochs from one step of the step schedule to the next, a whole number of at least 1",
    "gamma": "factor on the learning rate, above 0 to 1: each step (default 0.1) or each epoch (exponential, 0.95)",
}


def build(parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], config: Config) -> Optimizer:
    """The optimizer that `config` names (adamw where it names none), over parameters or groups of them.

    Where a value is not given, PyTorch's default holds; only nag, which is SGD with Nesterov's
    momentum and cannot do without, has momentum 0.9. A ValueError names a wrong value and its key.
    """
    name = choice(config, "optimizer", "adamw", ("sgd", "nag", "adam", "adamw"))
    lr = real(config, "lr", 1e-3, ABOVE_0)
    decay = real(config, "weight_decay", 0.01 if name == "adamw" else 0.0, AT_LEAST_0)
    if name == "adam":
        return Adam(parameters, lr=lr, weight_decay=decay, fused=True)
    if name == "adamw":
        return AdamW(parameters, lr=lr, weight_decay=decay, fused=True)
    if name == "nag":
        momentum = real(config, "momentum", 0.9, ABOVE_0_BELOW_1)
    else:
        momentum = real(config, "momentum", 0.0, FROM_0_BELOW_1)
    return SGD(parameters, lr=lr, momentum=momentum, weight_decay=decay, nesterov=name == "nag", fused=True)


def schedule(optimizer: Optimizer, config: Config) -> LambdaLR:
    """The schedule that `config` names: step where it gives a `step_size`, else constant. Step it once an epoch.

    The factor on the learning rate is a function of the epoch alone, so neither a pause nor the
    number of epochs that were asked for changes it.
    """
    default = "constant" if config.get("step_size") is None else "step"
    name = choice(config, "schedule", default, ("constant", "step", "exponential"))
    if name == "constant":
        return LambdaLR(optimizer, _constant)
    if name == "exponential":
        return LambdaLR(optimizer, partial(_stepped, step_size=1, gamma=real(config, "gamma", 0.95, ABOVE_0_TO_1)))
    if config.get("step_size") is None:
        raise ValueError("`schedule` is 'step', which needs `step_size`: a whole number of at least 1")
    step_size = whole(config, "step_size", 1)
    gamma = real(config, "gamma", 0.1, ABOVE_0_TO_1)
    return LambdaLR(optimizer, partial(_stepped, step_size=step_size, gamma=gamma))


def _constant(epoch: int) -> float:
    return 1.0


def _stepped(epoch: int, *, step_size: int, gamma: float) -> float:
    return float(gamma ** (epoch // step_size))

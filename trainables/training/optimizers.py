"""Optimizers and schedules by name: what a regime hands its parameters to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from trainables.errors import WrongValue
from trainables.hyperparameters import (
    ABOVE_0,
    ABOVE_0_BELOW_1,
    ABOVE_0_TO_1,
    AT_LEAST_0,
    FROM_0_BELOW_1,
    Config,
    Rule,
    choice,
    real,
    whole,
)
from trainables.training.uncompiled_optimizers import SGD, Adam, AdamW

HYPERPARAMETERS = {
    "optimizer": ["sgd", "nag", "adam", "adamw"],
    "lr": "learning rate, above 0; default 1e-3",
    "momentum": "of sgd (0 to below 1, default 0) and nag (above 0 to below 1, default 0.9); adam and adamw ignore it",
    "weight_decay": "at least 0; decoupled in adamw (default 0.01), an L2 penalty in the others (default 0)",
    "schedule": ["constant", "step", "exponential", "cosine"],
    "step_size": "epochs from one step of the step schedule to the next, a whole number of at least 1",
    "gamma": "factor on the learning rate, above 0 to 1: each step (default 0.1) or each epoch (exponential, 0.95)",
    "period": "epochs in which the cosine schedule falls from lr to lr_min, a whole number of at least 1",
    "lr_min": "where the cosine schedule ends and stays, 0 to lr; default 0",
    "warmup": "epochs in which the learning rate rises, before the schedule begins, a whole number; default 0",
    "clip_norm": "largest norm of all gradients together, above 0: larger ones are scaled down; absent: no limit",
}

Factor = Callable[[int], float]
"""What the learning rate is multiplied by in an epoch, counted from 0."""


def build(
    parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], config: Config, *, lr: str = "lr"
) -> Optimizer:
    """The optimizer that `config` names (adamw where it names none), over parameters or groups of them.

    `lr` is the key of the learning rate: a phase of a training may have its own. Where a value is not
    given, PyTorch's default holds; only nag, which is SGD with Nesterov's momentum and cannot do
    without, has momentum 0.9. A ValueError names a wrong value and its key.
    """
    name = choice(config, "optimizer", "adamw", ("sgd", "nag", "adam", "adamw"))
    rate = real(config, lr, 1e-3, ABOVE_0)
    decay = real(config, "weight_decay", 0.01 if name == "adamw" else 0.0, AT_LEAST_0)
    if name == "adam":
        return Adam(parameters, lr=rate, weight_decay=decay, fused=True)
    if name == "adamw":
        return AdamW(parameters, lr=rate, weight_decay=decay, fused=True)
    if name == "nag":
        momentum = real(config, "momentum", 0.9, ABOVE_0_BELOW_1)
    else:
        momentum = real(config, "momentum", 0.0, FROM_0_BELOW_1)
    return SGD(parameters, lr=rate, momentum=momentum, weight_decay=decay, nesterov=name == "nag", fused=True)


def clip(config: Config) -> float | None:
    """The largest norm that all gradients together may have; None where `config` sets no limit."""
    return None if config.get("clip_norm") is None else real(config, "clip_norm", 1.0, ABOVE_0)


def schedule(optimizer: Optimizer, config: Config) -> LambdaLR:
    """The schedule that `config` names: step where it gives a `step_size`, else constant. Step it once an epoch.

    In a warm-up of w epochs the learning rate is 1/(w+1), 2/(w+1), ... of its own; the schedule begins
    after it and counts its epochs from there. cosine falls along half a wave (Loshchilov and Hutter
    2017, arXiv 1608.03983, without restarts); where groups have learning rates of their own, each falls
    to the same share of its own as `lr_min` is of the optimizer's.

    The factor on the learning rate is a function of the epoch alone, so neither a pause nor the
    number of epochs that were asked for changes it.
    """
    factor = _factor(config, float(optimizer.defaults["lr"]))
    warmup = whole(config, "warmup", 0, least=0)
    return LambdaLR(optimizer, partial(_warmed, warmup=warmup, after=factor) if warmup else factor)


def _factor(config: Config, lr: float) -> Factor:
    """The factor of the named schedule, without warm-up."""
    default = "constant" if config.get("step_size") is None else "step"
    name = choice(config, "schedule", default, ("constant", "step", "exponential", "cosine"))
    if name == "constant":
        return _constant
    if name == "exponential":
        return partial(_stepped, step_size=1, gamma=real(config, "gamma", 0.95, ABOVE_0_TO_1))
    length = "period" if name == "cosine" else "step_size"
    if config.get(length) is None:
        raise WrongValue(f"`schedule` is {name!r}, which needs `{length}`: a whole number of at least 1")
    n_epochs = whole(config, length, 1)
    if name == "cosine":
        to_lr = Rule(f"of at least 0 and at most the learning rate, {lr!r}", lambda value: 0 <= value <= lr)
        return partial(_cosine, period=n_epochs, least=real(config, "lr_min", 0.0, to_lr) / lr)
    return partial(_stepped, step_size=n_epochs, gamma=real(config, "gamma", 0.1, ABOVE_0_TO_1))


def _constant(epoch: int) -> float:
    return 1.0


def _stepped(epoch: int, *, step_size: int, gamma: float) -> float:
    return float(gamma ** (epoch // step_size))


def _cosine(epoch: int, *, period: int, least: float) -> float:
    fallen = min(epoch / period, 1.0)
    return least + (1 - least) * (1 + math.cos(math.pi * fallen)) / 2


def _warmed(epoch: int, *, warmup: int, after: Factor) -> float:
    return (epoch + 1) / (warmup + 1) if epoch < warmup else after(epoch - warmup)

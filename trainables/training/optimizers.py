"""Optimizers by name, and the limit on the norm of the gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.optim import Optimizer

from trainables.hyperparameters import (
    ABOVE_0,
    ABOVE_0_BELOW_1,
    AT_LEAST_0,
    FROM_0_BELOW_1,
    Config,
    read_choice,
    read_float,
)
from trainables.training.uncompiled_optimizers import SGD, Adam, AdamW

HYPERPARAMETERS = {
    "optimizer": ["adamw", "adam", "sgd", "nag"],
    "lr": "learning rate, above 0; default 1e-3",
    "momentum": "of sgd, 0 to below 1, and nag, above 0 to below 1; adam and adamw ignore it; default 0, in nag 0.9",
    "weight_decay": "at least 0; decoupled in adamw, an L2 penalty in the others; default 0.01 in adamw, else 0",
    "clip_norm": "largest norm of all gradients together, above 0: larger ones are scaled down; default no limit",
}
MEANINGS = {"optimizer": "the rule of the steps: AdamW, Adam, SGD, or SGD with Nesterov momentum"}
# An optimizer is always used with a schedule. So a module that names this one accepts the schedule's keys, too.
READS_ALSO = ("trainables.training.schedules",)


def build(
    parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], config: Config, *, lr: str = "lr"
) -> Optimizer:
    """Return the optimizer that `config` names, adamw by default, for parameters or parameter groups.

    `lr` is the key of the learning rate in `config`, because a phase of a training may have its own. The defaults are
    those of PyTorch, except for `nag`: this is SGD with Nesterov momentum, which needs a momentum, so the default is
    0.9. Raises ValueError for a wrong value in `config`; the message names the key.
    """
    name = read_choice(config, "optimizer", "adamw", ("adamw", "adam", "sgd", "nag"))
    learning_rate = read_float(config, lr, 1e-3, ABOVE_0)
    weight_decay = read_float(config, "weight_decay", 0.01 if name == "adamw" else 0.0, AT_LEAST_0)
    if name == "adam":
        return Adam(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)
    if name == "adamw":
        return AdamW(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)
    nesterov = name == "nag"
    if nesterov:
        momentum = read_float(config, "momentum", 0.9, ABOVE_0_BELOW_1)
    else:
        momentum = read_float(config, "momentum", 0.0, FROM_0_BELOW_1)
    return SGD(
        parameters, lr=learning_rate, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov, fused=True
    )


def clip(config: Config) -> float | None:
    """Return the largest norm that all gradients together may have, or None if `config` sets no limit.

    Raises ValueError if `clip_norm` is not above 0.
    """
    return None if config.get("clip_norm") is None else read_float(config, "clip_norm", 1.0, ABOVE_0)

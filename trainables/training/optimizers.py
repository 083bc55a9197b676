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
from trainables.training import timm_optimizers
from trainables.training.uncompiled_optimizers import SGD, Adam, AdamW

HYPERPARAMETERS = {
    "optimizer": ["adamw", "adam", "sgd", "nag", "timm:NAME"],
    "lr": "learning rate, above 0; default 1e-3",
    "momentum": "of sgd, 0 to below 1, of nag, above 0 to below 1, and of some of timm; others ignore it; default 0, "
    "in nag and those of timm 0.9",
    "weight_decay": "at least 0; decoupled in adamw, an L2 penalty in adam, sgd and nag, and what timm makes of it in "
    "those of timm; default 0.01 in adamw, else 0",
    "clip_norm": "largest norm of all gradients together, above 0: larger ones are scaled down; default no limit",
}
MEANINGS = {
    "optimizer": "the rule of the steps: AdamW, Adam, SGD, SGD with Nesterov momentum, or one of timm, as timm:lion"
}
RANGES = {"lr": "float > 0", "momentum": "0 <= float < 1", "weight_decay": "float >= 0", "clip_norm": "float > 0"}
WHEN = {"momentum": {"optimizer": ["sgd", "nag", "timm:NAME"]}}
# An optimizer is always used with a schedule. So a module that names this one accepts the schedule's keys, too.
READS_ALSO = ("trainables.training.schedules",)
NAMES = ("adamw", "adam", "sgd", "nag")


def build(
    parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], config: Config, *, lr: str = "lr"
) -> Optimizer:
    """Return the optimizer that `config` names, adamw by default, for parameters or parameter groups.

    `lr` is the key of the learning rate in `config`, because a phase of a training may have its own. The defaults are
    those of PyTorch, except for `nag`: this is SGD with Nesterov momentum, which needs a momentum, so the default is
    0.9. A name that begins with `timm:` is one of timm's (`timm_optimizers.py`). Raises ValueError for a wrong value in
    `config`; the message names the key.
    """
    name, rate = config.get("optimizer"), learning_rate(config, lr)
    if isinstance(name, str) and name.startswith(timm_optimizers.PREFIX):
        weight_decay = read_float(config, "weight_decay", 0.0, AT_LEAST_0)
        name = name.removeprefix(timm_optimizers.PREFIX)
        return timm_optimizers.build(name, list(parameters), config, lr=rate, weight_decay=weight_decay)
    name = read_choice(config, "optimizer", "adamw", (*NAMES, f"{timm_optimizers.PREFIX}NAME"))
    weight_decay = read_float(config, "weight_decay", 0.01 if name == "adamw" else 0.0, AT_LEAST_0)
    if name == "adam":
        return Adam(parameters, lr=rate, weight_decay=weight_decay, fused=True)
    if name == "adamw":
        return AdamW(parameters, lr=rate, weight_decay=weight_decay, fused=True)
    nesterov = name == "nag"
    if nesterov:
        momentum = read_float(config, "momentum", 0.9, ABOVE_0_BELOW_1)
    else:
        momentum = read_float(config, "momentum", 0.0, FROM_0_BELOW_1)
    return SGD(parameters, lr=rate, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov, fused=True)


def learning_rate(config: Config, key: str = "lr") -> float:
    """Return the learning rate at `key` of `config`. Raises ValueError if it is not above 0."""
    return read_float(config, key, 1e-3, ABOVE_0)


def clip(config: Config) -> float | None:
    """Return the largest norm that all gradients together may have, or None if `config` sets no limit.

    Raises ValueError if `clip_norm` is not above 0.
    """
    return None if config.get("clip_norm") is None else read_float(config, "clip_norm", 1.0, ABOVE_0)

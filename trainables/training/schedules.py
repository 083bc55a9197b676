"""Learning rate schedules by name: constant, step, exponential and cosine, each with an optional warm-up."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from trainables.errors import WrongValue
from trainables.hyperparameters import ABOVE_0_TO_1, Config, Rule, read_choice, read_float, read_int

HYPERPARAMETERS = {
    "schedule": ["constant", "step", "exponential", "cosine"],
    "step_size": "epochs from one step of the step schedule to the next, at least 1; default none, step needs it",
    "gamma": "factor on the learning rate, above 0 to 1, each step or each epoch; default 0.1, exponential 0.95",
    "period": "epochs in which the cosine schedule falls from lr to lr_min, at least 1; default none, cosine needs it",
    "lr_min": "where the cosine schedule ends and stays, 0 to lr; default 0",
    "warmup": "epochs in which the learning rate rises, before the schedule begins, a whole number; default 0",
}
MEANINGS = {"schedule": "how the learning rate changes over the epochs; step by default if step_size is given"}

Factor = Callable[[int], float]
"""Takes the number of an epoch, from 0, and returns the factor on the learning rate in this epoch."""


def build(optimizer: Optimizer, config: Config) -> LambdaLR:
    """Return the schedule that `config` names. Call its `step` once after each epoch.

    The default is `step` if `config` has a `step_size`, and `constant` otherwise.

    In a warm-up of w epochs, the factor on the learning rate is 1/(w+1), 2/(w+1), ..., w/(w+1). The schedule begins
    after it and counts its epochs from there.

    `cosine` follows half a cosine wave from `lr` to `lr_min` (Loshchilov and Hutter 2017, arXiv 1608.03983, without
    restarts). If parameter groups have their own learning rates, each falls to the same fraction of its own: the
    fraction that `lr_min` is of the optimizer's learning rate.

    The factor depends only on the number of the epoch. So it does not change if the training is paused, or if the trial
    is given more epochs.

    Raises ValueError for a wrong value in `config`; the message names the key.
    """
    factor = _factor(config, float(optimizer.defaults["lr"]))
    n_warmup_epochs = read_int(config, "warmup", 0, least=0)
    if n_warmup_epochs:
        factor = partial(_with_warmup, n_warmup_epochs=n_warmup_epochs, schedule=factor)
    return LambdaLR(optimizer, factor)


def _factor(config: Config, lr: float) -> Factor:
    """Return the factor of the schedule that `config` names, without warm-up."""
    default = "constant" if config.get("step_size") is None else "step"
    name = read_choice(config, "schedule", default, ("constant", "step", "exponential", "cosine"))
    if name == "constant":
        return _constant
    if name == "exponential":
        return partial(_step_decay, step_size=1, gamma=read_float(config, "gamma", 0.95, ABOVE_0_TO_1))
    key = "period" if name == "cosine" else "step_size"
    if config.get(key) is None:
        raise WrongValue(f"`schedule` is {name!r}, which needs `{key}`: a whole number of at least 1")
    n_epochs = read_int(config, key, 1)
    if name == "cosine":
        to_lr = Rule(f"of at least 0 and at most the learning rate, {lr!r}", lambda value: 0 <= value <= lr)
        return partial(_cosine, period=n_epochs, lowest=read_float(config, "lr_min", 0.0, to_lr) / lr)
    return partial(_step_decay, step_size=n_epochs, gamma=read_float(config, "gamma", 0.1, ABOVE_0_TO_1))


def _constant(epoch: int) -> float:
    return 1.0


def _step_decay(epoch: int, *, step_size: int, gamma: float) -> float:
    return float(gamma ** (epoch // step_size))


def _cosine(epoch: int, *, period: int, lowest: float) -> float:
    progress = min(epoch / period, 1.0)
    return lowest + (1 - lowest) * (1 + math.cos(math.pi * progress)) / 2


def _with_warmup(epoch: int, *, n_warmup_epochs: int, schedule: Factor) -> float:
    if epoch < n_warmup_epochs:
        return (epoch + 1) / (n_warmup_epochs + 1)
    return schedule(epoch - n_warmup_epochs)

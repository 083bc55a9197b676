"""Learning rate schedules by name, each with an optional warm-up."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from torch.optim import Optimizer

from trainables.errors import WrongValue
from trainables.hyperparameters import (
    ABOVE_0_TO_1,
    AT_LEAST_0,
    AT_LEAST_1,
    FROM_0_BELOW_1,
    Config,
    Rule,
    read_choice,
    read_float,
    read_optional_int,
)
from trainables.training import schedule_curves
from trainables.training.schedule_curves import Curve, Spans

HYPERPARAMETERS = {
    "schedule": ["constant", "step", "exponential", "cosine", "one_cycle", "wsd"],
    "schedule_epochs": "epochs of the whole training, with whose last step cosine, one_cycle and wsd end, at least 1; "
    "default the high of the fidelity",
    "schedule_interval": ["step", "epoch"],
    "step_size": "epochs from one step of the step schedule to the next, at least 1; default none, step needs it",
    "gamma": "factor on the learning rate, above 0 to 1, each step or each epoch; default 0.1, exponential 0.95",
    "period": "epochs after the warm-up in which the cosine schedule falls from lr to lr_min, at least 1; "
    "default to the end of schedule_epochs",
    "lr_min": "where the cosine and the wsd schedule end and stay, 0 to lr; default 0",
    "cooldown_share": "the fall at the end of wsd as a share of schedule_epochs, above 0 to 1; default 0.2",
    "div_factor": "one_cycle begins at lr / div_factor, at least 1; default 25",
    "final_div_factor": "one_cycle ends at lr / div_factor / final_div_factor, at least 1; default 1e4",
    "warmup": "epochs in which the learning rate rises, before the schedule begins, at least 0, also fractions; "
    "default 0",
    "warmup_steps": "the same in steps of the optimizer, instead of warmup; a whole number of at least 0; default none",
    "warmup_share": "the same as a share of schedule_epochs, instead of warmup, 0 to below 1; "
    "default none, one_cycle 0.3, which is its rise",
}
MEANINGS = {
    "schedule": "how the learning rate changes; wsd: constant, then a linear fall; step by default if step_size is "
    "given",
    "schedule_interval": "whether cosine, one_cycle, wsd and warm-ups change the learning rate before each step of the "
    "optimizer, or once an epoch",
}
RANGES = {
    "schedule_epochs": "int >= 1",
    "step_size": "int >= 1",
    "gamma": "0 < float <= 1",
    "period": "int >= 1",
    "lr_min": "float >= 0",
    "cooldown_share": "0 < float <= 1",
    "div_factor": "float >= 1",
    "final_div_factor": "float >= 1",
    "warmup": "float >= 0",
    "warmup_steps": "int >= 0",
    "warmup_share": "0 <= float < 1",
}
WHEN = {
    "schedule_epochs": [{"schedule": ["cosine", "one_cycle", "wsd"]}, {"warmup_share": "given"}],
    "schedule_interval": [
        {"schedule": ["cosine", "one_cycle", "wsd"]},
        {"warmup": "given"},
        {"warmup_steps": "given"},
        {"warmup_share": "given"},
    ],
    "step_size": {"schedule": [None, "step"]},
    "gamma": [{"schedule": ["step", "exponential"]}, {"schedule": [None], "step_size": "given"}],
    "period": {"schedule": ["cosine"]},
    "lr_min": {"schedule": ["cosine", "wsd"]},
    "cooldown_share": {"schedule": ["wsd"]},
    "div_factor": {"schedule": ["one_cycle"]},
    "final_div_factor": {"schedule": ["one_cycle"]},
}

EPOCHS = "schedule_epochs"
"""The key of the epochs of the whole training."""
WARMUPS = ("warmup", "warmup_steps", "warmup_share")
"""The keys of a warm-up, of which a configuration has at most one."""
ENDING = ("cosine", "one_cycle", "wsd")
"""The schedules that end with the training."""


class Warmup(NamedTuple):
    """A warm-up, as a configuration gives it."""

    key: str
    """The key that gives its length: one of WARMUPS."""
    value: float
    """The value of the key."""

    def n_steps(self, epoch: int, whole: int) -> int:
        """Return its length in steps. `epoch` and `whole` are the steps of an epoch and of the whole training."""
        unit = {"warmup": epoch, "warmup_steps": 1, "warmup_share": whole}[self.key]
        return round(self.value * unit)


def build(optimizer: Optimizer, config: Config) -> Schedule:
    """Return the schedule that `config` names.

    The default is `step` if `config` has a `step_size`, and `constant` otherwise.

    In a warm-up of w steps of the optimizer, the factor on the learning rate is 1/(w+1), 2/(w+1), ..., w/(w+1). The
    schedule begins after it and counts its epochs from there. `one_cycle` has its own rise instead of the
    warm-up. See `schedule_curves` for the curves and their sources. With `schedule_interval: epoch`, the factor of an
    epoch is that of its number: epochs take the part of the steps.

    If parameter groups have their own learning rates, each falls to the same fraction of its own: for `lr_min` this is
    the fraction that it is of the optimizer's learning rate.

    Raises ValueError for a wrong value in `config`; the message names the key.
    """
    default = "constant" if config.get("step_size") is None else "step"
    name = read_choice(config, "schedule", default, HYPERPARAMETERS["schedule"])
    by_epoch = read_choice(config, "schedule_interval", "step", ("step", "epoch")) == "epoch"
    warmup = _read_warmup(config, name, by_epoch=by_epoch)
    curve = _read_curve(config, name, float(optimizer.defaults["lr"]))
    if name != "one_cycle":
        curve = partial(schedule_curves.warmed, curve=curve)
    ends = name in ENDING and not (name == "cosine" and config.get("period") is not None)
    schedule = Schedule(
        optimizer, curve, warmup, read_optional_int(config, EPOCHS), by_epoch=by_epoch, ending=name if ends else None
    )
    schedule.check_warmup()
    return schedule


class Schedule:
    """Sets the learning rate of an optimizer before each of its steps.

    The factors of an epoch depend only on the number of the epoch, on its number of steps and on `n_epochs`. So they do
    not change if the training is paused.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        curve: Curve,
        warmup: Warmup,
        n_epochs: int | None,
        *,
        by_epoch: bool = False,
        ending: str | None = None,
    ) -> None:
        """`by_epoch` says that all steps of an epoch have the factor of its number.

        `ending` is the name of the schedule if it ends with the training.
        """
        self._optimizer, self._curve, self._warmup, self._by_epoch = optimizer, curve, warmup, by_epoch
        self._ending = ending
        self.n_epochs = n_epochs
        """The epochs of the training, or of its phase, at whose end some schedules end. None if they are not known."""
        self._epoch = 0

    def factors(self, n_steps: int) -> list[float]:
        """Return the factor on the learning rate for each step of the next epoch, which has `n_steps` steps."""
        unit = 1 if self._by_epoch else n_steps
        whole = (self.n_epochs or 0) * unit
        steps = range(self._epoch * unit, (self._epoch + 1) * unit)
        found = self._curve(steps, Spans(unit, self._warmup.n_steps(unit, whole), whole))
        return found * n_steps if self._by_epoch else found

    def check_warmup(self, n_steps: int | None = None) -> None:
        """Raise a WrongValue if the schedule ends with the training, and its warm-up is as long as that.

        `n_steps` is the number of steps of an epoch. Without it, a warm-up in steps is not checked.
        """
        key, value = self._warmup
        unit = {"warmup": 1, "warmup_steps": n_steps}.get(key)
        if self._ending is None or self.n_epochs is None or unit is None:
            return
        if value >= self.n_epochs * unit:
            units = "epochs" if key == "warmup" else "steps"
            raise WrongValue(
                f"`{key}` must be less than the {self.n_epochs * unit} {units} in which the schedule {self._ending!r} "
                f"ends, but is {value:g}"
            )

    def set_factor(self, factor: float) -> None:
        """Set the learning rate of each parameter group to `factor` times the one that the group began with."""
        for group in self._optimizer.param_groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor

    def end_epoch(self) -> None:
        """Count an epoch."""
        self._epoch += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the number of epochs. The rates that groups began with are in the state of the optimizer."""
        return {"last_epoch": self._epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue after the epochs of a state. A state of PyTorch's LambdaLR, stepped once an epoch, will do too."""
        self._epoch = int(state["last_epoch"])


def _read_curve(config: Config, name: str, lr: float) -> Curve:
    """Return the curve of the schedule `name` without its warm-up."""
    if name == "constant":
        return schedule_curves.constant
    if name == "exponential":
        gamma = read_float(config, "gamma", 0.95, ABOVE_0_TO_1)
        return partial(schedule_curves.step_decay, n_epochs=1, gamma=gamma)
    if name == "step":
        n_epochs, gamma = read_optional_int(config, "step_size"), read_float(config, "gamma", 0.1, ABOVE_0_TO_1)
        if n_epochs is None:
            raise _missing(f"`schedule` is {name!r}, which", "step_size")
        return partial(schedule_curves.step_decay, n_epochs=n_epochs, gamma=gamma)
    ends = ("period", EPOCHS) if name == "cosine" else (EPOCHS,)
    if all(config.get(key) is None for key in ends):
        raise _missing(f"`schedule` is {name!r}, which", *ends)
    if name == "one_cycle":
        start = 1 / read_float(config, "div_factor", 25.0, AT_LEAST_1)
        end = start / read_float(config, "final_div_factor", 1e4, AT_LEAST_1)
        return partial(schedule_curves.one_cycle, start=start, end=end)
    to_lr = Rule(f"of at least 0 and at most the learning rate, {lr!r}", lambda value: 0 <= value <= lr)
    lowest = read_float(config, "lr_min", 0.0, to_lr) / lr
    if name == "cosine":
        return partial(schedule_curves.cosine, period=read_optional_int(config, "period"), lowest=lowest)
    share = read_float(config, "cooldown_share", 0.2, ABOVE_0_TO_1)
    return partial(schedule_curves.linear_cooldown, share=share, lowest=lowest)


def _missing(what: str, *keys: str) -> WrongValue:
    """The error that `what` needs one of the keys."""
    needed = " or ".join(f"`{key}`" for key in keys)
    return WrongValue(f"{what} needs {needed}: a whole number of at least 1")


def _read_warmup(config: Config, name: str, *, by_epoch: bool) -> Warmup:
    """Return the warm-up that `config` asks for. The schedule has the name `name`."""
    given = [key for key in WARMUPS if config.get(key) is not None]
    if len(given) > 1:
        raise WrongValue(f"`{given[0]}` and `{given[1]}` give the warm-up twice: set only one of {', '.join(WARMUPS)}")
    n_steps = read_optional_int(config, "warmup_steps", least=0)
    if n_steps is not None:
        if by_epoch:
            raise WrongValue("`warmup_steps` needs `schedule_interval` step, but it is epoch: give `warmup` in epochs")
        return Warmup("warmup_steps", n_steps)
    if given == ["warmup_share"] or (not given and name == "one_cycle"):
        share = read_float(config, "warmup_share", 0.3, FROM_0_BELOW_1)
        if config.get(EPOCHS) is None:
            raise _missing("`warmup_share`" if given else f"`schedule` is {name!r}, which", EPOCHS)
        return Warmup("warmup_share", share)
    n_epochs = read_float(config, "warmup", 0.0, AT_LEAST_0)
    if by_epoch and n_epochs != int(n_epochs):
        raise WrongValue(f"`warmup` must be a whole number with `schedule_interval` epoch, but is {n_epochs!r}")
    return Warmup("warmup", n_epochs)

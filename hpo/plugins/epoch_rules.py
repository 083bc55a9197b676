"""Rules between the epochs of a space: those of its fidelity, of its schedule and of the phases of its regimes.

What no trial can keep is a mistake. What only some trials break gets a notice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from hpo.plugins.described import settings
from hpo.plugins.given_settings import GivenSettings
from hpo.plugins.task_plugins import TaskPlugin, TaskPlugins
from hpo.space import Fidelity

ENDING = ("cosine", "one_cycle", "wsd")
"""The schedules that end with `schedule_epochs`, unless cosine has a `period`."""
WARMUPS = ("warmup", "warmup_steps", "warmup_share")
"""The keys of a warm-up, of which a configuration has at most one."""
COOLDOWN_SHARE = 0.2
"""The default of `cooldown_share`."""


class BrokenRule(NamedTuple):
    """A rule that a space breaks."""

    place: tuple[str, ...]
    """The keys that lead to the value."""
    text: str
    is_mistake: bool
    """Whether no trial keeps the rule, so that the space is refused. Otherwise the user gets a notice."""


def broken_rules(plugins: TaskPlugins, given: GivenSettings, fidelity: Fidelity) -> Iterator[BrokenRule]:
    """The rules of epochs that the trials of a space break."""
    if plugins.may_read_any:
        return
    if any("schedule" in (regime.declared or {}) for regime in plugins.regimes):
        yield from _schedule(given, fidelity)
    for regime in plugins.regimes:
        if regime.first_phase:
            yield from _phases(regime, given, fidelity)


def _schedule(given: GivenSettings, fidelity: Fidelity) -> Iterator[BrokenRule]:
    """The rules of a schedule: what it needs, its length, its warm-up and its end."""
    schedules = [str(name) for name in given.values("schedule") or ()]
    if "step" in schedules and not given.is_given("step_size"):
        text = "step needs `step_size`: the epochs from one step to the next, a whole number of at least 1"
        yield BrokenRule(given.place("schedule"), text, True)
    both = [name for name in WARMUPS if given.is_given(name) and not given.active_with(name)]
    if len(both) > 1:
        text = f"gives the warm-up a second time beside `{both[0]}`; only one of {', '.join(WARMUPS)} may be given"
        yield BrokenRule(given.place(both[1]), text, True)
    if given.values("schedule_interval") == ("epoch",) and "warmup_steps" in both:
        text = "needs `schedule_interval` step, but it is epoch; give `warmup` in epochs"
        yield BrokenRule(given.place("warmup_steps"), text, True)
    longest = given.largest("schedule_epochs")
    if longest is not None and longest < fidelity.high and any(name in ENDING for name in schedules):
        text = f"must be at least fidelity.high={fidelity.high}, but is {longest:g}; trials would go on after its end"
        yield BrokenRule(given.place("schedule_epochs"), text, True)
    yield from _lowest_rate(given, schedules)
    yield from _warmup(given, schedules, given.smallest("schedule_epochs", fidelity.high) or fidelity.high)


def _lowest_rate(given: GivenSettings, schedules: list[str]) -> Iterator[BrokenRule]:
    """The rule `lr_min <= lr`."""
    if not {"cosine", "wsd"} & set(schedules) or not given.is_given("lr_min"):
        return
    low, high = given.smallest("lr_min"), given.largest("lr_min")
    lowest, highest = given.smallest("lr", 1e-3), given.largest("lr", 1e-3)
    if low is None or high is None or lowest is None or highest is None:
        return
    if low > highest:
        text = f"must be at most lr, but is at least {low:g}, and lr is at most {highest:g}"
        yield BrokenRule(given.place("lr_min"), text, True)
    elif high > lowest:
        text = f"must be at most lr; trials with an lr_min of up to {high:g} and an lr from {lowest:g} on may fail"
        yield BrokenRule(given.place("lr_min"), text, False)


def _warmup(given: GivenSettings, schedules: list[str], n_epochs: float) -> Iterator[BrokenRule]:
    """The rules of a warm-up in a training of `n_epochs`: it must end before the training, and before a fall of wsd."""
    name = "warmup_share" if given.is_given("warmup_share") else "warmup"
    if not given.is_given(name):
        return
    unit = 1.0 if name == "warmup_share" else n_epochs
    least, most = ((each or 0) / unit for each in (given.smallest(name), given.largest(name)))
    ends = [each for each in schedules if each in ENDING and not (each == "cosine" and given.is_given("period"))]
    if ends and most >= 1:
        is_mistake = least >= 1 and ends == schedules
        text = f"must be less than the {n_epochs:g} epochs in which the schedule {ends[0]} ends"
        yield BrokenRule(given.place(name), f"{text}, but is up to {most * unit:g}", is_mistake)
    elif "wsd" in schedules:
        falls = [given.smallest("cooldown_share", COOLDOWN_SHARE), given.largest("cooldown_share", COOLDOWN_SHARE)]
        least, most = (each + (fall or 0) for each, fall in zip((least, most), falls, strict=True))
        if most > 1:
            rule = "warm-up and cooldown_share of wsd must together be at most 1 of the training"
            yield BrokenRule(given.place(name), f"{rule}, but are {_span(least, most)}", least > 1)


def _phases(regime: TaskPlugin, given: GivenSettings, fidelity: Fidelity) -> Iterator[BrokenRule]:
    """The rule that a training lasts longer than the first of the two phases of its regime."""
    key = regime.first_phase[0]
    default = _default(regime, key)
    smallest = [given.smallest(name, default if name == key else None) for name in regime.first_phase]
    least, most = min((each for each in smallest if each is not None), default=None), given.largest(key, default)
    if least is None or most is None:
        return
    place = given.place(key) if given.is_given(key) else ("fidelity", "high")
    first = f"the first phase of {regime.name} takes {_span(least, most)} epochs (`{key}`)"
    if most >= fidelity.high:
        is_mistake = least >= fidelity.high
        rest = "never begins" if is_mistake else "may never begin"
        text = f"{first}, and a trial has {fidelity.high} (fidelity.high), so the second phase {rest}"
        yield BrokenRule(place, text, is_mistake)
    elif fidelity.low < least:
        text = (
            f"trials are compared from epoch {fidelity.low} on, but {first}; {most + 1:g} compares them in the second"
        )
        yield BrokenRule(("fidelity", "low"), text, False)


def _default(plugin: TaskPlugin, name: str) -> float | None:
    """The default of a hyperparameter, as its description says. None if it is no number."""
    declared = settings(dict(plugin.declared or {}), {})
    text = next((each.default for each in declared if each.name == name), None)
    return float(text) if text is not None and text.isdecimal() else None


def _span(least: float, most: float) -> str:
    return f"{most:g}" if least == most else f"{least:g} to {most:g}"

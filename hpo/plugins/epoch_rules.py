"""Rules between the epochs of a space: those of its fidelity, of its schedule and of the phases of its regimes.

What no trial can keep is a mistake. What only some trials break, or what may be meant, gets a notice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hpo.plugins.declarations import literal
from hpo.plugins.described import settings
from hpo.plugins.given_settings import GivenSettings
from hpo.plugins.registry import find
from hpo.plugins.task_plugins import TaskPlugin, TaskPlugins
from hpo.quantities import with_plural
from hpo.space import Fidelity
from hpo.space.domains import Categorical

SCHEDULES = "trainables.training.schedules"
"""The module of the schedules that have these rules. A regime of the user may read other ones."""


class BrokenRule(NamedTuple):
    """A rule that a space breaks."""

    place: tuple[str, ...]
    """The keys that lead to the value."""
    text: str
    is_mistake: bool
    """Whether no trial keeps the rule, so that the space is refused. Otherwise the user gets a notice."""


class _Epochs(NamedTuple):
    """The epochs of a training or of one of its phases, in which a schedule ends."""

    least: float
    most: float
    where: str


def broken_rules(plugins: TaskPlugins, given: GivenSettings, fidelity: Fidelity) -> Iterator[BrokenRule]:
    """The rules of epochs that the trials of a space break."""
    if plugins.may_read_any:
        return
    with_schedule = [regime for regime in plugins.regimes if SCHEDULES in regime.modules]
    if with_schedule:
        for rule in (*_schedule(given, fidelity), *_warmup(with_schedule, given, fidelity)):
            yield rule._replace(is_mistake=rule.is_mistake and len(with_schedule) == len(plugins.regimes))
    for regime in plugins.regimes:
        if regime.first_phase:
            yield from _phases(regime, given, fidelity, is_only=len(plugins.regimes) == 1)


def _schedule(given: GivenSettings, fidelity: Fidelity) -> Iterator[BrokenRule]:
    """The rules of a schedule: what it needs, how its warm-up is given, its length and its lowest rate."""
    schedules = _schedules(given)
    if "step" in schedules and not given.is_given("step_size"):
        text = "step needs `step_size`: the epochs from one step to the next, a whole number of at least 1"
        yield BrokenRule(given.place("schedule"), text, True)
    names = _literal("WARMUPS")
    both = [name for name in names if given.is_given(name) and not given.active_with(name)]
    if len(both) > 1:
        text = f"gives the warm-up a second time beside `{both[0]}`; only one of {', '.join(names)} may be given"
        is_mistake = sum(_is_always_given(given, name) for name in both) > 1
        yield BrokenRule(given.place(both[1]), text, is_mistake)
    if given.values("schedule_interval") == ("epoch",) and "warmup_steps" in both:
        text = "needs `schedule_interval` step, but it is epoch; give `warmup` in epochs"
        is_mistake = _is_always_given(given, "schedule_interval") and _is_always_given(given, "warmup_steps")
        yield BrokenRule(given.place("warmup_steps"), text, is_mistake)
    longest = given.largest("schedule_epochs")
    ends = _ending(given, schedules)
    if longest is not None and longest < fidelity.high and ends:
        text = f"must be at least fidelity.high={fidelity.high}, but is {longest:g}; trials would go on after its end"
        is_mistake = _all_end(given, schedules) and _is_always_given(given, "schedule_epochs")
        yield BrokenRule(given.place("schedule_epochs"), text, is_mistake)
    yield from _lowest_rate(given, schedules)


def _lowest_rate(given: GivenSettings, schedules: Sequence[str]) -> Iterator[BrokenRule]:
    """The rule `lr_min <= lr`."""
    if not {"cosine", "wsd"} & set(schedules) or not given.is_given("lr_min"):
        return
    low, high, lowest, highest = (end(name) for name in ("lr_min", "lr") for end in (given.smallest, given.largest))
    if low is None or high is None or lowest is None or highest is None:
        return
    if low > highest:
        text = f"must be at most lr, but is at least {low:g}, and lr is at most {highest:g}"
        is_mistake = {"cosine", "wsd"} >= set(schedules) and all(_is_always_given(given, x) for x in ("lr_min", "lr"))
        yield BrokenRule(given.place("lr_min"), text, is_mistake)
    elif high > lowest:
        text = f"must be at most lr; trials with an lr_min of up to {high:g} and an lr from {lowest:g} on may fail"
        yield BrokenRule(given.place("lr_min"), text, False)


def _warmup(regimes: Sequence[TaskPlugin], given: GivenSettings, fidelity: Fidelity) -> Iterator[BrokenRule]:
    """The rule that a warm-up in epochs is shorter than a training, or phase, with which the schedule ends."""
    least, most = given.smallest("warmup"), given.largest("warmup")
    schedules = _schedules(given)
    with_warmup = given.active_with("warmup").get("schedule", schedules)
    ends = [name for name in _ending(given, schedules) if name in with_warmup]
    if least is None or most is None or not ends:
        return
    spans = [_spans(regime, given, fidelity) for regime in regimes]
    is_mistake = _all_end(given, schedules) and _is_always_given(given, "warmup")
    is_mistake = is_mistake and all(any(least >= each.most for each in of_regime) for of_regime in spans)
    for each in (each for of_regime in spans for each in of_regime):
        if (least >= each.most) if is_mistake else (most >= each.least):
            epochs = f"the {_in_epochs(each.most if is_mistake else each.least)} of {each.where}"
            value = f"is {most:g}" if least == most else f"is up to {most:g}"
            text = f"must be less than {epochs}, with which the schedule {ends[0]!r} ends, but {value}"
            yield BrokenRule(given.place("warmup"), text, is_mistake)
            return


def _spans(regime: TaskPlugin, given: GivenSettings, fidelity: Fidelity) -> list[_Epochs]:
    """The epochs of the training of a regime, or of each of its phases that begins."""
    ends = [end("schedule_epochs") for end in (given.smallest, given.largest)]
    default = [] if _is_always_given(given, "schedule_epochs") else [fidelity.high]
    wholes = [each for each in (*ends, *default) if each is not None] or [fidelity.high]
    whole = _Epochs(min(wholes), max(wholes), "the training")
    first = _first_phase(regime, given) if regime.first_phase else None
    if first is None:
        return [whole]
    shortest, least, most, keys = first
    where = f"the first phase ({keys})"
    found = [_Epochs(least, most, where)]
    if min(whole.least, fidelity.high) > most:
        where = f"the second phase, after the first ({keys})"
        found.append(_Epochs(whole.least - most, whole.most - shortest, where))
    return found


def _phases(regime: TaskPlugin, given: GivenSettings, fidelity: Fidelity, *, is_only: bool) -> Iterator[BrokenRule]:
    """The rule that a training lasts longer than the first of the two phases of its regime.

    Beside other regimes, trials are compared from the first epochs on, which is fair to a regime with a single phase.
    """
    found = _first_phase(regime, given)
    if found is None:
        return
    shortest, _, most, keys = found
    key = regime.first_phase[0]
    place = given.place(key) if given.is_given(key) else ("fidelity", "high")
    takes = _in_epochs(most) if shortest == most else f"{shortest:g} to {_in_epochs(most)}"
    first = f"the first phase of {regime.name} takes {takes} ({keys})"
    if most >= fidelity.high:
        rest = "never begins" if shortest >= fidelity.high else "may never begin"
        text = f"{first}, and a trial has {fidelity.high} (fidelity.high), so the second phase {rest}"
        yield BrokenRule(place, text, False)
    elif fidelity.low < shortest and is_only:
        text = (
            f"trials are compared from epoch {fidelity.low} on, but {first}; {most + 1:g} compares them in the second"
        )
        yield BrokenRule(("fidelity", "low"), text, False)


def _first_phase(regime: TaskPlugin, given: GivenSettings) -> tuple[float, float, float, str] | None:
    """The epochs of the first phase of a regime, and the keys that give them. None if they are not known.

    The epochs are the smallest that it may take, if patience ends it early, and the range of those that it may have.
    """
    key, *patience = regime.first_phase
    default = _default(regime, key)
    least, most = given.smallest(key, default), given.largest(key, default)
    if least is None or most is None:
        return None
    if not _is_always_given(given, key) and default is not None:
        least, most = min(least, default), max(most, default)
    keys = [f"`{key}`" if given.is_given(key) else f"`{key}`, by default"]
    shortest = least
    for name in patience:
        stale = given.smallest(name)
        if stale is not None and stale < shortest:
            shortest, keys = stale, [f"`{name}`", *keys[-1:]]
    return shortest, least, most, ", ".join(keys)


def _schedules(given: GivenSettings) -> list[str]:
    """The schedules that trials may have."""
    found = [str(name) for name in given.values("schedule") or ()]
    is_known = not given.is_given("schedule") or found
    return found if _is_always_given(given, "schedule") or not is_known else [*found, "constant"]


def _ending(given: GivenSettings, schedules: Sequence[str]) -> list[str]:
    """Those that end with the training. One with a `period` ends before, whether all trials have one or some."""
    endings = _literal("ENDING")
    return [name for name in schedules if name in endings and not (name == "cosine" and given.is_given("period"))]


def _all_end(given: GivenSettings, schedules: Sequence[str]) -> bool:
    """Whether the schedule of each trial ends with its training."""
    return bool(schedules) and len(_ending(given, schedules)) == len(schedules)


def _is_always_given(given: GivenSettings, name: str) -> bool:
    """Whether each trial has a value of a hyperparameter that is not null."""
    if name not in given.domains:
        return given.is_given(name)
    domain = given.domains[name]
    is_optional = isinstance(domain, Categorical) and None in domain.choices
    return domain is not None and not is_optional and not given.active_with(name)


def _literal(name: str) -> tuple[str, ...]:
    """A tuple of names in the module of the schedules."""
    found: tuple[str, ...] = literal(SCHEDULES, name, find)[0]
    return found


def _default(plugin: TaskPlugin, name: str) -> float | None:
    """The default of a hyperparameter, as its description says. None if it is no number."""
    declared = settings(dict(plugin.declared or {}), {})
    text = next((each.default for each in declared if each.name == name), None)
    return float(text) if text is not None and text.isdecimal() else None


def _in_epochs(n: float) -> str:
    return with_plural(int(n), "epoch") if n == int(n) else f"{n:g} epochs"

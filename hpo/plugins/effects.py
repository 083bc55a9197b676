"""Hyperparameters of a space that have no effect, whatever else a trial draws.

A searched one is a mistake. A fixed one is a mistake if what it needs is not given: `period` without a schedule. If
the space says otherwise, as `schedule: constant` does, it only gets a notice, so that `--set` can change one key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from hpo.plugins.declared_rules import GIVEN, Condition
from hpo.plugins.given_settings import Allowed, GivenSettings
from hpo.plugins.task_plugins import TaskPlugin, TaskPlugins
from hpo.plugins.value_lists import is_allowed
from hpo.space.values import format_value
from hpo.trial import Scalar, Value

MAX_VALUES = 4
"""The largest number of values of one hyperparameter that a message lists."""


@dataclass(frozen=True)
class Reason:
    """Why a hyperparameter has no effect."""

    text: str
    is_missing: bool
    """Whether what it needs is not given at all."""


class NoEffect(NamedTuple):
    """A hyperparameter without effect."""

    place: tuple[str, str]
    """Its section and its name."""
    reason: str
    is_mistake: bool
    """Whether the space is refused. Otherwise the user gets a notice."""


def without_effect(plugins: TaskPlugins, given: GivenSettings) -> Iterator[NoEffect]:
    """The given hyperparameters that have no effect with any regime and model of the task."""
    if plugins.may_read_any:
        return
    for section, name in given.places():
        limits = given.active_with(name)
        if not all(limits.values()) or not limits.keys() <= given.domains.keys():
            continue  # it is never active, or its condition names what is not searched: this is reported elsewhere
        reasons: dict[str, bool] = {}
        regimes = [plugin for plugin in plugins.regimes if is_allowed(plugin.name, limits.get("regime"))]
        models = [plugin for plugin in plugins.models if is_allowed(plugin.name, limits.get("model"))]
        for pair in product(regimes, models) if models else ((regime,) for regime in regimes):
            readers = [*pair, plugins.every]
            if not any(name in (plugin.declared or ()) or name in plugin.ignored for plugin in readers):
                continue  # if no other pair reads it either, that is reported elsewhere
            reason = _reason(name, readers, given, limits)
            if reason is None:
                break
            reasons[reason.text] = reason.is_missing
        else:
            if reasons:
                is_mistake = section == "space" or any(reasons.values())
                yield NoEffect((section, name), "; ".join(reasons), is_mistake)


def _reason(name: str, plugins: Sequence[TaskPlugin], given: GivenSettings, limits: Allowed) -> Reason | None:
    """Why a hyperparameter has no effect in trials with these plug-ins, of which one names it. None if it has one."""
    for plugin in plugins:
        if name in plugin.ignored:
            return Reason(f"has no effect with {plugin.name}: {plugin.ignored[name]}", is_missing=False)
    found = None
    for plugin in plugins:
        if plugin.declared is None or name not in plugin.declared:
            continue
        conditions = plugin.conditions.get(name, ())
        failing = [_failing_parent(condition, plugins, given, limits) for condition in conditions]
        parents = [parent for parent in failing if parent is not None]
        if not parents or len(parents) < len(failing):
            return None
        needed = ", or ".join(filter(None, map(_words, conditions)))
        text = f"has no effect without {needed}{_state(parents[0], plugins, given, limits)}"
        found = Reason(text, is_missing=not any(map(given.is_given, parents)))
    return found


def _failing_parent(
    condition: Condition, plugins: Sequence[TaskPlugin], given: GivenSettings, limits: Allowed
) -> str | None:
    """The first hyperparameter of a condition that has none of the values it needs. None if the condition may hold."""
    for parent, allowed in condition.items():
        values = given.values(parent, limits)
        if values is None:
            continue
        if allowed == GIVEN:
            if all(value is None for value in values):
                return parent
            continue
        by_default = (None, *_default(parent, plugins)) if not values or given.may_be_inactive(parent, limits) else ()
        if not any(is_allowed(value, allowed) for value in (*values, *by_default)):
            return parent
    return None


def _default(name: str, plugins: Sequence[TaskPlugin]) -> list[Scalar]:
    """The default of a hyperparameter with a list of values, if there is one."""
    lists = [plugin.declared[name] for plugin in plugins if plugin.declared and name in plugin.declared]
    return [each[0] for each in lists if isinstance(each, list)][:1]


def _words(condition: Condition) -> str:
    """What a condition needs, in words: `schedule` cosine or wsd. Empty if it only needs keys that are not given."""
    parts = []
    for parent, allowed in condition.items():
        if allowed == GIVEN:
            parts.append(f"`{parent}`")
        elif names := [value for value in allowed if value is not None]:
            parts.append(f"`{parent}` {_listed(names)}")
    return " and ".join(parts)


def _state(name: str, plugins: Sequence[TaskPlugin], given: GivenSettings, limits: Allowed) -> str:
    """What a space says of a hyperparameter that another one needs."""
    values = given.values(name, limits)
    if values:
        return f"; `{name}` is {_listed(values)}"
    default = _default(name, plugins)
    return f"; `{name}` is not given, so it is {_listed(default)}" if default else f"; `{name}` is not given"


def _listed(values: Sequence[Value]) -> str:
    """Values in words. Of many, only the first are listed."""
    texts = [value if isinstance(value, str) else format_value(value) for value in values]
    if len(texts) > MAX_VALUES:
        texts = [*texts[: MAX_VALUES - 1], f"{len(texts) - MAX_VALUES + 1} others"]
    return " or ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else texts[0]

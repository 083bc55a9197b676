"""Hyperparameters of a space that have no effect, whatever else a trial draws.

A searched one is a mistake. A fixed one is a mistake if what it needs is not given: `period` without a schedule. If
the space says otherwise, as `schedule: constant` does, it only gets a notice, so that `--set` can change one key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
        if not all(limits.values()):  # it is never active, which is reported elsewhere
            continue
        reasons: dict[str, bool] = {}
        regimes = [plugin for plugin in plugins.regimes if is_allowed(plugin.name, limits.get("regime"))]
        models = [plugin for plugin in plugins.models if is_allowed(plugin.name, limits.get("model"))]
        for pair in product(regimes, models) if models else ((regime,) for regime in regimes):
            found = _reason(name, [*pair, plugins.every], given, limits)
            if found is None:
                break
            reasons[found[0]] = found[1]
        else:
            reasons.pop("", None)
            if reasons:
                is_mistake = section == "space" or any(reasons.values())
                yield NoEffect((section, name), "; ".join(reasons), is_mistake)


def _reason(name: str, plugins: Sequence[TaskPlugin], given: GivenSettings, limits: Allowed) -> tuple[str, bool] | None:
    """Why a hyperparameter has no effect in trials with these plug-ins. None if it has one.

    The flag says that what it needs is not given. The reason is empty if none of the plug-ins reads the hyperparameter.
    If no other one does, that is reported elsewhere.
    """
    found = ("", False)
    for plugin in plugins:
        if name in plugin.ignored:
            return f"has no effect with {plugin.name}: {plugin.ignored[name]}", False
        if plugin.declared is None or name not in plugin.declared:
            continue
        conditions = plugin.conditions.get(name, ())
        failing = [_failing_parent(condition, plugins, given, limits) for condition in conditions]
        if None in failing:
            return None
        if not conditions:
            return None
        parent = next(each for each in failing if each is not None)
        needed = ", or ".join(filter(None, map(_words, conditions)))
        found = (
            f"has no effect without {needed}{_state(parent, plugins, given, limits)}",
            not any(given.is_given(each) for each in failing if each is not None),
        )
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
        elif not any(is_allowed(value, allowed) for value in values or (None, *_default(parent, plugins))):
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

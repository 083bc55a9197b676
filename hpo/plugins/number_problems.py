"""The numbers of a space that no plug-in of its task may take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hpo.plugins.number_range import NumberRange
from hpo.plugins.task_plugins import TaskPlugin, TaskPlugins
from hpo.space import TASK_DOMAINS
from hpo.space.domains import Categorical, Domain, Float
from hpo.space.rules import Problem
from hpo.space.values import format_value, value_problem
from hpo.trial import Value


def number_problems(
    plugins: TaskPlugins, domains: Mapping[str, Domain | None], fixed: Mapping[str, Value]
) -> Iterator[Problem]:
    """The numbers that do not lie in the declared ranges of their hyperparameters, at the keys of a space file.

    If several plug-ins read a hyperparameter, its values may lie in the range of any of them.
    """
    for name, domain in domains.items():
        ranges = _ranges(plugins, name)
        if name not in TASK_DOMAINS and domain is not None and ranges:
            yield from _domain_problems(name, domain, ranges)
    for name, value in fixed.items():
        ranges = _ranges(plugins, name)
        if ranges and value_problem(value) is None and not _is_allowed(value, ranges):
            yield ("fixed", name), f"must be {_words(ranges, value)}, but is {format_value(value)}"


def option_problems(
    keys: tuple[str, ...], options: Mapping[str, Value], ranges: Mapping[str, Sequence[NumberRange]]
) -> Iterator[Problem]:
    """The options of a data set, which stands at `keys`, that do not lie in the ranges that it declares."""
    for name, value in options.items():
        if name in ranges and not _is_allowed(value, [ranges[name]]):
            yield (*keys, name), f"must be {_words([ranges[name]], value)}, but is {format_value(value)}"


def _ranges(plugins: TaskPlugins, name: str) -> list[Sequence[NumberRange]]:
    """The ranges of a hyperparameter by each plug-in that reads it. Empty if it may have any value."""
    asked: list[TaskPlugin] = [plugins.every] if plugins.may_read_any else plugins.all
    reading = [plugin for plugin in asked if plugin.declared is not None and name in plugin.declared]
    found = [plugin.ranges.get(name, ()) for plugin in reading]
    return found if all(found) else []


def _domain_problems(name: str, domain: Domain, ranges: Sequence[Sequence[NumberRange]]) -> Iterator[Problem]:
    if isinstance(domain, Categorical):
        for value in domain.choices:
            if not _is_allowed(value, ranges):
                words = _words(ranges, value)
                yield ("space", name, "choices"), f"each must be {words}, but one is {format_value(value)}"
        return
    if isinstance(domain, Float) and all(each.is_whole for alternative in ranges for each in alternative):
        yield ("space", name), f"needs `type: int`: it must be {_words(ranges, domain.low)}"
        return
    for key in ("low", "high"):
        bound = getattr(domain, key)
        if not _is_allowed(bound, ranges):
            yield ("space", name, key), f"must be {_words(ranges, bound)}, but is {format_value(bound)}"


def _is_allowed(value: Value, ranges: Sequence[Sequence[NumberRange]]) -> bool:
    return any(all(each.allows(value) for each in alternative) for alternative in ranges)


def _words(ranges: Sequence[Sequence[NumberRange]], value: Value) -> str:
    """The ranges in words, of each plug-in the one that does not allow the value."""
    broken = (next(each for each in alternative if not each.allows(value)) for alternative in ranges)
    return ", or ".join(dict.fromkeys(each.words for each in broken))

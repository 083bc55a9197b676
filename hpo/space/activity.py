"""When a hyperparameter is active, all its conditions and those of its parents taken together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from hpo.space.values import format_value, is_one_of
from hpo.trial import Value

if TYPE_CHECKING:
    from hpo.space.rules import Problem, When


def active_with(name: str, conditions: Mapping[str, When], seen: Sequence[str] = ()) -> dict[str, tuple[Value, ...]]:
    """The values of its parents, and of their parents, with which a hyperparameter is active.

    `conditions` are those of each hyperparameter, and `seen` those that were followed before. An empty tuple means that
    the conditions exclude each other.
    """
    found: dict[str, tuple[Value, ...]] = {}
    for parent, allowed in conditions.get(name, {}).items():
        of_parent = {} if parent in seen else active_with(parent, conditions, (*seen, name))
        for other, values in [(parent, tuple(allowed)), *of_parent.items()]:
            before = found.get(other)
            found[other] = values if before is None else tuple(value for value in before if is_one_of(value, values))
    return found


def never_active_problems(conditions: Mapping[str, When]) -> Iterator[Problem]:
    """The hyperparameters that are never active: their conditions and those of their parents exclude each other.

    Of several that depend on each other, only the first is named.
    """
    never: set[str] = set()
    for name in sorted(conditions, key=lambda each: len(active_with(each, conditions))):
        excluded = [parent for parent, values in active_with(name, conditions).items() if not values]
        if excluded and not never & conditions[name].keys():
            never.add(name)
            parent = excluded[0]
            asked = [
                f"{other} needs {format_value(conditions[other][parent])}"
                for other in (name, *active_with(name, conditions))
                if parent in conditions.get(other, {})
            ]
            yield ("space", name, "when"), f"is never active: of {parent}, {' and '.join(asked)}"

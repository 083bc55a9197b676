"""The key `prior` of a hyperparameter: where the user believes that good values lie.

- A range has a centre and a width: a normal distribution with this mean, truncated to the range. On a linear scale the
  width is the standard deviation: about two thirds of the belief lies from centre - width to centre + width. On a
  logarithmic scale it is a factor: about two thirds lies from centre / width to centre * width.
- Choices have weights. A choice that is not named has weight 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hpo.errors import nearest
from hpo.space.values import comparison_key, format_value, is_number, number_problem, with_lists
from hpo.trial import Value

Prior = Mapping[str, float]
"""`centre` and `width` of a range, or the weights of some choices by their names. Empty if there is no prior."""

RANGE_PRIOR_KEYS = ("centre", "width")
_Problem = tuple[tuple[str, ...], str]
"""A problem, as in `hpo/space/rules.py`."""


def range_prior_problems(prior: Any, bounds: Mapping[str, Any], *, log: bool) -> Iterator[_Problem]:
    """The problems of the prior of a range. `bounds` holds those of `low` and `high` that are valid numbers."""
    if prior is None:
        return
    if not isinstance(prior, Mapping):
        yield ("prior",), f"must hold a centre and a width, as {{centre: 0.01, width: 3}}, but is {format_value(prior)}"
        return
    for key in prior:
        if key not in RANGE_PRIOR_KEYS:
            yield ("prior", str(key)), f"unknown key{nearest(str(key), RANGE_PRIOR_KEYS)}"
    if not prior:
        return
    centre: Any = prior.get("centre")
    width: Any = prior.get("width")
    if (text := number_problem(centre, whole=False)) is not None:
        yield ("prior", "centre"), text
    elif {"low", "high"} <= bounds.keys() and not bounds["low"] <= centre <= bounds["high"]:
        ends = f"low={bounds['low']} to high={bounds['high']}"
        yield ("prior", "centre"), f"{format_value(centre)} lies outside the range from {ends}"
    if (text := number_problem(width, whole=False)) is not None:
        yield ("prior", "width"), text
    elif log and width <= 1:
        yield ("prior", "width"), f"must be above 1, because it is a factor with log=true, but is {format_value(width)}"
    elif width <= 0:
        yield ("prior", "width"), f"must be above 0, but is {format_value(width)}"


def choices_prior_problems(prior: Any, choices: Sequence[Value] | None) -> Iterator[_Problem]:
    """The problems of the prior of a list of choices. None for `choices` means that these have problems themselves."""
    if prior is None:
        return
    if not isinstance(prior, Mapping):
        yield ("prior",), f"must give weights to choices, as {{adamw: 3, sgd: 1}}, but is {format_value(prior)}"
        return
    named = []
    for key, weight in prior.items():
        path = ("prior", _text(key))
        if not is_number(weight) or number_problem(weight, whole=False) is not None or weight <= 0:
            yield path, f"must be a weight above 0, but is {format_value(weight)}"
        if choices is None:
            continue
        if (index := choice_index(key, choices)) is None:
            yield path, f"{format_value(key)} is no choice{nearest(_text(key), map(_text, choices))}"
        elif index in named:
            yield path, "is given twice; each choice has one weight"
        elif sum(_text(choice) == _text(choices[index]) for choice in choices) > 1:
            yield path, "names two choices, a text and another value; name them differently"
        else:
            named.append(index)


def choice_index(key: Value, choices: Sequence[Value]) -> int | None:
    """The position of the choice that a key of a prior names. None if there is no such choice.

    A key may be the choice itself. In a space file keys are texts, so `'64'` names 64, and `'true'` names true.
    """
    keys = [comparison_key(choice) for choice in choices]
    if comparison_key(key) in keys:
        return keys.index(comparison_key(key))
    try:
        value = comparison_key(json.loads(key)) if isinstance(key, str) else None
    except ValueError:
        return None
    return keys.index(value) if value in keys else None


def normalised_prior(prior: Mapping[Any, float], choices: Sequence[Value] | None = None) -> Prior:
    """A valid prior with numbers as floats. Keys that name `choices` become texts that `choice_index` reads."""
    if choices is None:
        return {key: float(prior[key]) for key in RANGE_PRIOR_KEYS if key in prior}
    weights = {choice_index(key, choices): float(weight) for key, weight in prior.items()}
    return {_text(choice): weights[index] for index, choice in enumerate(choices) if index in weights}


def _text(value: Value) -> str:
    """A choice as a key of a space file."""
    return value if isinstance(value, str) else json.dumps(with_lists(value), ensure_ascii=False)

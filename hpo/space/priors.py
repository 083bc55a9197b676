"""The key `prior` of a hyperparameter: where the user believes that good values lie.

- A range has a centre and a width: a normal distribution with this mean, truncated to the range. On a linear scale the
  width is the standard deviation: about two thirds of the belief lies from centre - width to centre + width. On a
  logarithmic scale it is a factor: about two thirds lies from centre / width to centre * width.
- Choices have weights. A choice that is not named has weight 1. The highest may be a million times the lowest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hpo.errors import nearest
from hpo.space.values import comparison_key, format_value, is_number, number_problem, value_as_text, value_problem
from hpo.trial import Value

Prior = Mapping[str, float]
"""`centre` and `width` of a range, or the weights of some choices by their names. It is never empty."""

RANGE_PRIOR_KEYS = ("centre", "width")
RANGE_RULE = "must hold a centre and a width, as {centre: 0.01, width: 3}"
CHOICES_RULE = "must give weights to choices, as {adamw: 3, sgd: 1}"
OTHER_NAMES = {
    **dict.fromkeys(("center", "mean", "mu", "loc", "median", "mode"), "centre"),
    **dict.fromkeys(("std", "sd", "stddev", "sigma", "scale", "deviation", "standard_deviation"), "width"),
}
"""Names that other tools have for the keys of a range. Errors give the name that is meant."""
MAX_RATIO = 1e6
"""How many times as high as the lowest weight of a hyperparameter the highest may be. So no probability becomes 0."""
_Problem = tuple[tuple[str, ...], str]
"""A problem, as in `hpo/space/rules.py`."""


def range_prior_problems(prior: Any, bounds: Mapping[str, Any], *, log: bool) -> Iterator[_Problem]:
    """The problems of the prior of a range. `bounds` holds those of `low` and `high` that are valid numbers."""
    if prior is None:
        return
    if not isinstance(prior, Mapping):
        yield ("prior",), f"{RANGE_RULE}, but is {format_value(prior)}"
        return
    for key in prior:
        if key not in RANGE_PRIOR_KEYS:
            name = _key_text(key)
            yield ("prior", name), f"unknown key{nearest(OTHER_NAMES.get(name, name), RANGE_PRIOR_KEYS)}"
    if not prior:
        yield ("prior",), f"{RANGE_RULE}, but is empty; leave the key out for no prior"
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
        yield ("prior",), f"{CHOICES_RULE}, but is {format_value(prior)}"
        return
    if not prior:
        yield ("prior",), f"{CHOICES_RULE}, but is empty; leave the key out for no prior"
        return
    weights: dict[int, float] = {}
    is_valid = True
    for key, weight in prior.items():
        problems = list(_weight_problems(key, weight, choices, weights))
        is_valid = is_valid and not problems
        yield from ((("prior", _key_text(key)), text) for text in problems)
    if choices is None or not is_valid or not weights:
        return
    used = [weights.get(index, 1.0) for index in range(len(choices))]
    if max(used) > MAX_RATIO * min(used):
        text = f"has weights from {format_value(min(used))} to {format_value(max(used))}"
        yield ("prior",), f"{text}; the highest may be {MAX_RATIO:,.0f} times the lowest, and choices not named have 1"


def _weight_problems(
    key: Any, weight: Any, choices: Sequence[Value] | None, weights: dict[int, float]
) -> Iterator[str]:
    """The problems of one weight in words. If it has none, it is added to `weights`, by the position of its choice."""
    if (text := _key_problem(key)) is not None:
        yield f"the key {text}"
        return
    is_weight = is_number(weight) and number_problem(weight, whole=False) is None and weight > 0
    if not is_weight:
        yield f"must be a weight above 0, but is {format_value(weight)}"
    if choices is None:
        return
    if (index := choice_index(key, choices)) is None:
        yield f"{format_value(key)} is no choice{nearest(value_as_text(key), map(value_as_text, choices))}"
    elif index in weights:
        yield "is given twice; each choice has one weight"
    elif sum(value_as_text(choice) == value_as_text(choices[index]) for choice in choices) > 1:
        yield "names two choices, a text and another value; name them differently"
    else:
        weights[index] = weight if is_weight else 1.0


def choice_index(key: Value, choices: Sequence[Value]) -> int | None:
    """The position of the choice that a key of a prior names. None if there is no such choice.

    A key may be the choice itself, or its text: 64 and `'64'` both name the choice 64, and the choice `'64'` if there
    is no other. A space file has only texts as keys.
    """
    keys = [comparison_key(choice) for choice in choices]
    if comparison_key(key) in keys:
        return keys.index(comparison_key(key))
    try:
        value = comparison_key(json.loads(key) if isinstance(key, str) else value_as_text(key))
        return keys.index(value) if value in keys else None
    except (ValueError, RecursionError):  # no JSON, or nested too deeply for any choice
        return None


def normalised_prior(prior: Mapping[Any, float] | None, choices: Sequence[Value] | None = None) -> Prior | None:
    """A valid prior with numbers as floats. Keys that name `choices` become texts. None is no prior."""
    if prior is None:
        return None
    if choices is None:
        return {key: float(prior[key]) for key in RANGE_PRIOR_KEYS if key in prior}
    weights = {choice_index(key, choices): float(weight) for key, weight in prior.items()}
    return {value_as_text(choice): weights[index] for index, choice in enumerate(choices) if index in weights}


def choice_weights(prior: Prior | None, choices: Sequence[Value]) -> list[float]:
    """The weight of each choice by a prior of `normalised_prior`: 1 if it is not named."""
    return [prior.get(value_as_text(choice), 1.0) for choice in choices] if prior else [1.0] * len(choices)


def _key_text(key: Any) -> str:
    """Any key of a prior as text, also one that can be no choice."""
    try:
        return value_as_text(key)
    except (TypeError, ValueError, RecursionError):
        return f"a key of type {type(key).__name__}"


def _key_problem(key: Any) -> str | None:
    """Why a key of a prior can be no choice, whatever the choices are. None if it can be one."""
    try:
        return value_problem(key)
    except RecursionError:
        return "is nested too deeply"

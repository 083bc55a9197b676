"""Reading a configuration: one value, checked, or a WrongValue in plain words.

A key that is missing, or that holds None, takes its default. No value is converted but a whole
number where a real one is asked for: "0.1" is no number, 3.0 is no whole number, true is neither.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from trainables.errors import WrongValue

Scalar = bool | int | float | str | None
"""A value of a hyperparameter, as it stands in YAML and in JSON."""

Config = Mapping[str, Scalar]
"""The hyperparameters of one training: the searched ones and the fixed ones."""


class Rule(NamedTuple):
    """Which numbers are allowed: in words, and as a test."""

    words: str
    holds: Callable[[float], bool]


ABOVE_0 = Rule("above 0", lambda value: value > 0)
AT_LEAST_0 = Rule("of at least 0", lambda value: value >= 0)
FROM_0_BELOW_1 = Rule("of at least 0 and below 1", lambda value: 0 <= value < 1)
ABOVE_0_BELOW_1 = Rule("above 0 and below 1", lambda value: 0 < value < 1)
ABOVE_0_TO_1 = Rule("above 0 and at most 1", lambda value: 0 < value <= 1)


def real(config: Config, key: str, default: float, rule: Rule) -> float:
    """The number at `key`; a WrongValue where it is none, is not finite, or breaks the rule."""
    value = _present(config, key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise WrongValue(f"`{key}` must be a finite number {rule.words}, but is {value!r}")
    if not rule.holds(value):
        raise WrongValue(f"`{key}` must be {rule.words}, but is {value!r}")
    return float(value)


def whole(config: Config, key: str, default: int, *, least: int = 1) -> int:
    """The whole number at `key`; a WrongValue where it is none or lies below `least`."""
    value = _present(config, key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise WrongValue(f"`{key}` must be a whole number of at least {least}, but is {value!r}")
    return value


def choice(config: Config, key: str, default: str, allowed: Sequence[str]) -> str:
    """The name at `key`; a WrongValue where it is not among those allowed."""
    value = _present(config, key, default)
    if not isinstance(value, str) or value not in allowed:
        raise WrongValue(f"`{key}` must be one of {', '.join(allowed)}, but is {value!r}")
    return value


def flag(config: Config, key: str, default: bool) -> bool:
    """The truth value at `key`; a WrongValue where it is none."""
    value = _present(config, key, default)
    if not isinstance(value, bool):
        raise WrongValue(f"`{key}` must be true or false, but is {value!r}")
    return value


def optional(config: Config, key: str, least: int = 1) -> int | None:
    """The whole number at `key`, or None where there is none; a WrongValue where it is another value."""
    return None if config.get(key) is None else whole(config, key, least, least=least)


def _present(config: Config, key: str, default: Scalar) -> Scalar:
    value = config.get(key)
    return default if value is None else value

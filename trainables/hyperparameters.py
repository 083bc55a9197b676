"""Functions that read one hyperparameter from a configuration and check its value.

Each function returns the default if the key is missing or its value is None. Each raises WrongValue if the value is
not allowed.

Values are not converted, except for an integer where a real number is expected. So "0.1" is not a number, 3.0 is not a
whole number, and true is neither.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from trainables.errors import WrongValue

Scalar = bool | int | float | str | None
"""A value of a hyperparameter, of a type that YAML and JSON share."""

Config = Mapping[str, Scalar]
"""All hyperparameters of one training, both searched and fixed, with their values."""


S = TypeVar("S", bound=Scalar)


class WatchedConfig(Mapping[str, Scalar]):
    """A configuration that notes what the functions of this module read from it."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.read: dict[str, Scalar] = {}
        """The values that were read, by their keys. Where the configuration has none, it is the default."""

    def __getitem__(self, key: str) -> Scalar:
        return self._config[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._config)

    def __len__(self) -> int:
        return len(self._config)


class Rule(NamedTuple):
    """A condition on a number."""

    words: str
    """The condition as error messages state it, after "must be"."""
    holds: Callable[[float], bool]
    """Returns whether a number meets the condition."""


ABOVE_0 = Rule("above 0", lambda value: value > 0)
AT_LEAST_0 = Rule("of at least 0", lambda value: value >= 0)
AT_LEAST_1 = Rule("of at least 1", lambda value: value >= 1)
FROM_0_BELOW_1 = Rule("of at least 0 and below 1", lambda value: 0 <= value < 1)
ABOVE_0_BELOW_1 = Rule("above 0 and below 1", lambda value: 0 < value < 1)
ABOVE_0_TO_1 = Rule("above 0 and at most 1", lambda value: 0 < value <= 1)


def read_float(config: Config, key: str, default: float, rule: Rule) -> float:
    """Return the number at `key`. A WrongValue if it is not a number, is not finite, or breaks `rule`."""
    value = _present(config, key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise WrongValue(f"`{key}` must be a finite number {rule.words}, but is {value!r}")
    if not rule.holds(value):
        raise WrongValue(f"`{key}` must be {rule.words}, but is {value!r}")
    return _noted(config, key, float(value))


def read_int(config: Config, key: str, default: int, *, least: int = 1) -> int:
    """Return the whole number at `key`. A WrongValue if it is not a whole number, or is less than `least`."""
    value = _present(config, key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise WrongValue(f"`{key}` must be a whole number of at least {least}, but is {value!r}")
    return _noted(config, key, value)


def read_choice(config: Config, key: str, default: str, allowed: Sequence[str]) -> str:
    """Return the name at `key`. A WrongValue if it is not in `allowed`."""
    value = _present(config, key, default)
    if not isinstance(value, str) or value not in allowed:
        raise WrongValue(f"`{key}` must be one of {', '.join(allowed)}, but is {value!r}")
    return _noted(config, key, value)


def read_bool(config: Config, key: str, default: bool) -> bool:
    """Return the boolean at `key`. A WrongValue if it is not a boolean."""
    value = _present(config, key, default)
    if not isinstance(value, bool):
        raise WrongValue(f"`{key}` must be true or false, but is {value!r}")
    return _noted(config, key, value)


def read_optional_int(config: Config, key: str, least: int = 1) -> int | None:
    """Return the whole number at `key`, or None if the key is missing or its value is None.

    A WrongValue if it is not a whole number, or is less than `least`.
    """
    return None if config.get(key) is None else read_int(config, key, least, least=least)


def read_optional_float(config: Config, key: str, rule: Rule) -> float | None:
    """Return the number at `key`, or None if the key is missing or its value is None.

    A WrongValue if it is not a number, is not finite, or breaks `rule`.
    """
    return None if config.get(key) is None else read_float(config, key, 0.0, rule)


def _present(config: Config, key: str, default: Scalar) -> Scalar:
    value = config.get(key)
    return default if value is None else value


def _noted(config: Config, key: str, value: S) -> S:
    """Return `value`, after it was noted in a WatchedConfig."""
    if isinstance(config, WatchedConfig):
        config.read[key] = value
    return value

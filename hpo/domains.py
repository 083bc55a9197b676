"""The domains of a search space (floor 2): ranges and choices, and the rules that each must keep."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hpo.errors import SpaceError
from hpo.trial import Scalar

When = Mapping[str, tuple[Scalar, ...]]
"""The conditions of a domain: it is active where each named parent holds one of these values."""


@dataclass(frozen=True)
class Float:
    """The real numbers from `low` to `high`, both included."""

    low: float
    high: float
    log: bool = False
    """Search on a logarithmic scale."""
    default: float | None = None
    points: int | None = None
    """How many values the grid backend lays over the range."""
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", _number(self.low, "low"))
        object.__setattr__(self, "high", _number(self.high, "high"))
        _check_range(self)

    def sample(self, rng: random.Random) -> float:
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
            return min(max(value, self.low), self.high)
        return rng.uniform(self.low, self.high)

    def contains(self, value: Scalar) -> bool:
        return is_number(value) and self.low <= value <= self.high  # type: ignore[operator]

    def grid(self) -> tuple[float, ...]:
        """`points` values from `low` to `high`, evenly spaced on the scale that is searched."""
        if self.points is None:
            raise SpaceError("a range needs `points` to be laid out as a grid")
        if self.points == 1:
            return (self.default if self.default is not None else self.low,)
        steps = [i / (self.points - 1) for i in range(self.points)]
        if self.log:
            values = [self.low * (self.high / self.low) ** step for step in steps]
        else:
            values = [self.low + (self.high - self.low) * step for step in steps]
        return (self.low, *values[1:-1], self.high)


@dataclass(frozen=True)
class Int:
    """The whole numbers from `low` to `high`, both included."""

    low: int
    high: int
    log: bool = False
    """Search on a logarithmic scale."""
    default: int | None = None
    points: int | None = None
    """How many values the grid backend lays over the range."""
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("low", "high", "default"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise SpaceError(f"`{name}` of an int range must be a whole number, but is {value!r}")
        _check_range(self)

    def sample(self, rng: random.Random) -> int:
        if self.log:
            value = round(math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5))))
            return min(max(value, self.low), self.high)
        return rng.randint(self.low, self.high)

    def contains(self, value: Scalar) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def grid(self) -> tuple[int, ...]:
        """At most `points` different values from `low` to `high`, evenly spaced on the scale that is searched."""
        line = Float(self.low, self.high, self.log, self.default, self.points).grid()
        return tuple(dict.fromkeys(round(value) for value in line))


@dataclass(frozen=True)
class Categorical:
    """One of a few values: names, numbers or truth values."""

    choices: tuple[Scalar, ...]
    default: Scalar = None
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.choices, list | tuple) or not self.choices:
            raise SpaceError(f"`choices` must be a list of at least one value, but is {self.choices!r}")
        object.__setattr__(self, "choices", tuple(self.choices))
        for choice in self.choices:
            check_scalar(choice, "each of `choices`")
        if len({_identity(choice) for choice in self.choices}) < len(self.choices):
            raise SpaceError(f"`choices` must differ from each other, but are {list(self.choices)!r}")
        if self.default is not None and not self.contains(self.default):
            raise SpaceError(f"`default` must be one of {list(self.choices)!r}, but is {self.default!r}")

    def sample(self, rng: random.Random) -> Scalar:
        return self.choices[rng.randrange(len(self.choices))]

    def contains(self, value: Scalar) -> bool:
        return _identity(value) in {_identity(choice) for choice in self.choices}

    def grid(self) -> tuple[Scalar, ...]:
        return self.choices


Domain = Float | Int | Categorical


def domain_to_dict(domain: Domain) -> dict[str, Any]:
    """A domain as it stands in a space file."""
    if isinstance(domain, Categorical):
        content: dict[str, Any] = {"choices": list(domain.choices)}
    else:
        content = {"low": domain.low, "high": domain.high, "type": "int" if isinstance(domain, Int) else "float"}
        if domain.log:
            content["log"] = True
        if domain.points is not None:
            content["points"] = domain.points
    if domain.default is not None:
        content["default"] = domain.default
    if domain.when:
        content["when"] = {parent: list(allowed) for parent, allowed in domain.when.items()}
    return content


def is_number(value: object) -> bool:
    """Whether a value is a number; a truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: object, name: str) -> float:
    if not is_number(value) or not math.isfinite(value):  # type: ignore[arg-type]
        raise SpaceError(f"`{name}` must be a finite number, but is {value!r}")
    return float(value)  # type: ignore[arg-type]


def _check_range(domain: Float | Int) -> None:
    low, high = domain.low, domain.high
    if not isinstance(domain.log, bool):
        raise SpaceError(f"`log` must be true or false, but is {domain.log!r}")
    if low > high:
        raise SpaceError(f"`low <= high` must hold, but low={low} and high={high}")
    if domain.log and low <= 0:
        raise SpaceError(f"`low > 0` must hold for `log: true`, but low={low}")
    if domain.default is not None and not domain.contains(domain.default):
        raise SpaceError(f"`default` must lie between {low} and {high}, but is {domain.default!r}")
    points = domain.points
    if points is not None and (isinstance(points, bool) or not isinstance(points, int) or points < 1):
        raise SpaceError(f"`points` must be a whole number of at least 1, but is {points!r}")


def check_scalar(value: object, what: str) -> None:
    """Raise a SpaceError unless `value` is a single finite value."""
    if value is not None and not isinstance(value, bool | int | float | str):
        raise SpaceError(f"{what} must be a single value, but is {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise SpaceError(f"{what} must be finite, but is {value!r}")


def _identity(value: Scalar) -> tuple[str, Scalar]:
    """What makes two choices the same: 1 and 1.0 are, 1 and true are not."""
    kind = "bool" if isinstance(value, bool) else "number" if is_number(value) else type(value).__name__
    return kind, value


def holds(value: Scalar, allowed: tuple[Scalar, ...]) -> bool:
    """Whether a value is one of those allowed; 1 equals 1.0, but not true."""
    return _identity(value) in {_identity(choice) for choice in allowed}

"""The domains of hyperparameters: ranges and choices, with random sampling and grids."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any

from hpo.errors import SpaceError
from hpo.space.rules import When, choices_problems, raise_problems, range_problems
from hpo.space.values import is_number, is_one_of
from hpo.trial import Scalar


@dataclass(frozen=True)
class Float:
    """The real numbers from `low` to `high`, both included. Raises SpaceError if a field breaks a rule."""

    low: float
    high: float
    log: bool = False
    """Sample on a logarithmic scale."""
    default: float | None = None
    points: int | None = None
    """The number of values that grid search takes from the range."""
    when: When = field(default_factory=dict)
    """The conditions under which the hyperparameter is active. Without conditions, it is always active."""

    def __post_init__(self) -> None:
        raise_problems(range_problems(vars(self), whole=False))
        for name in ("low", "high", "default"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else float(value) + 0.0)  # -0.0 becomes 0.0
        _copy_when(self)

    def sample(self, rng: random.Random) -> float:
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = rng.uniform(self.low, self.high)
        return self._clipped(value)

    def contains(self, value: Scalar) -> bool:
        return is_number(value) and self.low <= value <= self.high

    def grid(self) -> tuple[float, ...]:
        """`points` values from `low` to `high`, evenly spaced on the linear or logarithmic scale.

        Equal values appear once, so there may be fewer. If `points` is 1, the value is the default, or `low` if there
        is no default. Raises SpaceError if `points` is missing.
        """
        if self.points is None:
            raise SpaceError("points: is missing; a range needs it to be laid out as a grid")
        if self.points == 1:
            return (self.low if self.default is None else self.default,)
        steps = [i / (self.points - 1) for i in range(1, self.points - 1)]
        if self.log:
            inner = [math.exp((1 - step) * math.log(self.low) + step * math.log(self.high)) for step in steps]
        else:
            inner = [(1 - step) * self.low + step * self.high for step in steps]
        return tuple(dict.fromkeys((self.low, *map(self._clipped, inner), self.high)))

    def _clipped(self, value: float) -> float:
        """The value, clipped to the range: a rounding error may have carried it outside."""
        return min(max(value, self.low), self.high)


@dataclass(frozen=True)
class Int:
    """The whole numbers from `low` to `high`, both included. Raises SpaceError if a field breaks a rule."""

    low: int
    high: int
    log: bool = False
    """Sample on a logarithmic scale."""
    default: int | None = None
    points: int | None = None
    """The number of values that grid search takes from the range."""
    when: When = field(default_factory=dict)
    """The conditions under which the hyperparameter is active. Without conditions, it is always active."""

    def __post_init__(self) -> None:
        raise_problems(range_problems(vars(self), whole=True))
        _copy_when(self)

    def sample(self, rng: random.Random) -> int:
        if self.log:
            # Without the margins of 0.5, rounding would make `low` and `high` too rare.
            value = round(math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5))))
            return min(max(value, self.low), self.high)
        return rng.randint(self.low, self.high)

    def contains(self, value: Scalar) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def grid(self) -> tuple[int, ...]:
        """The values of `Float.grid` for the same range, rounded. Equal values appear once."""
        values = Float(self.low, self.high, self.log, self.default, self.points).grid()
        return tuple(dict.fromkeys(round(value) for value in values))


@dataclass(frozen=True)
class Categorical:
    """A list of choices: names, numbers, truth values or null. Raises SpaceError if a field breaks a rule."""

    choices: tuple[Scalar, ...]
    default: Scalar = None
    when: When = field(default_factory=dict)
    """The conditions under which the hyperparameter is active. Without conditions, it is always active."""

    def __post_init__(self) -> None:
        raise_problems(choices_problems(vars(self)))
        object.__setattr__(self, "choices", tuple(self.choices))
        _copy_when(self)

    def sample(self, rng: random.Random) -> Scalar:
        return self.choices[rng.randrange(len(self.choices))]

    def contains(self, value: Scalar) -> bool:
        return is_one_of(value, self.choices)

    def grid(self) -> tuple[Scalar, ...]:
        return self.choices


Domain = Float | Int | Categorical


def domain_to_dict(domain: Domain) -> dict[str, Any]:
    """A domain as plain values, in the form of a space file."""
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


def _copy_when(domain: Domain) -> None:
    """Replace the conditions by a copy with tuples, so that equal conditions compare equal and cannot be changed."""
    object.__setattr__(domain, "when", {parent: tuple(allowed) for parent, allowed in domain.when.items()})

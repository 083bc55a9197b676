"""The domains of a search space: ranges and choices, what lies in them and how to draw from them."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any

from hpo.errors import SpaceError
from hpo.space.rules import When, choices_problems, demand, range_problems
from hpo.space.values import holds, is_number
from hpo.trial import Scalar

__all__ = ["Categorical", "Domain", "Float", "Int", "When", "domain_to_dict", "holds", "is_number"]


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
        demand(range_problems(vars(self), whole=False))
        for name in ("low", "high", "default"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else float(value) + 0.0)  # -0.0 becomes 0.0
        _freeze_when(self)

    def sample(self, rng: random.Random) -> float:
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = rng.uniform(self.low, self.high)
        return self._clipped(value)

    def contains(self, value: Scalar) -> bool:
        return is_number(value) and self.low <= value <= self.high

    def grid(self) -> tuple[float, ...]:
        """`points` values from `low` to `high`, evenly spaced on the scale that is searched.

        Fewer where they coincide; a single point is the default, else `low`. A SpaceError without `points`.
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
        """The value, without the rounding error that may carry it past an end."""
        return min(max(value, self.low), self.high)


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
        demand(range_problems(vars(self), whole=True))
        _freeze_when(self)

    def sample(self, rng: random.Random) -> int:
        if self.log:
            value = round(math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5))))
            return min(max(value, self.low), self.high)
        return rng.randint(self.low, self.high)

    def contains(self, value: Scalar) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def grid(self) -> tuple[int, ...]:
        """At most `points` different values from `low` to `high`, evenly spaced; as for Float."""
        line = Float(self.low, self.high, self.log, self.default, self.points).grid()
        return tuple(dict.fromkeys(round(value) for value in line))


@dataclass(frozen=True)
class Categorical:
    """One of a few values: names, numbers or truth values."""

    choices: tuple[Scalar, ...]
    default: Scalar = None
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        demand(choices_problems(vars(self)))
        object.__setattr__(self, "choices", tuple(self.choices))
        _freeze_when(self)

    def sample(self, rng: random.Random) -> Scalar:
        return self.choices[rng.randrange(len(self.choices))]

    def contains(self, value: Scalar) -> bool:
        return holds(value, self.choices)

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


def _freeze_when(domain: Domain) -> None:
    """Keep our own copy of the conditions, in the one form that compares equal."""
    object.__setattr__(domain, "when", {parent: tuple(allowed) for parent, allowed in domain.when.items()})

"""The domains of hyperparameters: ranges and choices, with random sampling and grids."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from hpo.errors import SpaceError
from hpo.space.priors import Prior, choice_weights, normalised_prior
from hpo.space.rules import When, choices_problems, raise_problems, range_problems
from hpo.space.values import comparison_key, is_number, is_one_of, with_lists, with_tuples
from hpo.trial import Value


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
    step: float | None = None
    """Only the values low, low + step, low + 2 * step, ... are allowed. `high` must be one of them."""
    prior: Prior | None = None
    """The `centre` and the `width` of where good values are believed to lie, see `hpo/space/priors.py`."""

    def __post_init__(self) -> None:
        raise_problems(range_problems(vars(self), whole=False))
        for name in ("low", "high", "default", "step"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else float(value) + 0.0)  # -0.0 becomes 0.0
        object.__setattr__(self, "prior", normalised_prior(self.prior))
        _copy_when(self)

    @property
    def n_values(self) -> int | float:
        """The number of values, inf without a step."""
        if self.low == self.high:
            return 1
        return math.inf if self.step is None else round((self.high - self.low) / self.step) + 1

    def value_at(self, index: int) -> float:
        """The value `index` steps above `low`. Decimal arithmetic keeps 0.1 + 2 * 0.1 at 0.3."""
        if self.step is None or index == 0:
            return self.low
        return float(Decimal(repr(self.low)) + index * Decimal(repr(self.step)))

    def index_of(self, value: float) -> int:
        """The number of steps from `low` to the allowed value that is nearest to `value`."""
        return 0 if self.step is None else min(max(round((value - self.low) / self.step), 0), int(self.n_values) - 1)

    def sample(self, rng: random.Random) -> float:
        if self.step is not None:
            return self.value_at(rng.randrange(int(self.n_values)))
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = rng.uniform(self.low, self.high)
        return self._clipped(value)

    def contains(self, value: Value) -> bool:
        if not is_number(value) or not self.low <= value <= self.high:
            return False
        return self.step is None or value == self.value_at(self.index_of(value))

    def grid(self) -> tuple[float, ...]:
        """`points` values from `low` to `high`, evenly spaced on the linear or logarithmic scale.

        With a step, each is moved to the nearest allowed value, and without `points` all allowed values are returned.
        Each is rounded to 12 significant digits, as 0.001 for 0.0010000000000000002, unless some would become equal.
        Equal values appear once, so there may be fewer. If `points` is 1, the value is the default, or `low` if there
        is no default. Raises SpaceError if `points` and `step` are missing.
        """
        if self.points is None and self.step is not None:
            return tuple(map(self.value_at, range(int(self.n_values))))
        if self.points is None:
            raise SpaceError("points: is missing; a range needs it to be laid out as a grid")
        if self.points == 1:
            return (self.low if self.default is None else self.default,)
        steps = [i / (self.points - 1) for i in range(1, self.points - 1)]
        if self.log:
            inner = [math.exp((1 - step) * math.log(self.low) + step * math.log(self.high)) for step in steps]
        else:
            inner = [(1 - step) * self.low + step * self.high for step in steps]
        inner = _rounded(inner)
        if self.step is not None:
            inner = [self.value_at(self.index_of(value)) for value in inner]
        return tuple(dict.fromkeys((self.low, *map(self._clipped, inner), self.high)))

    def _clipped(self, value: float) -> float:
        """The value, clipped to the range: a rounding error may have carried it outside."""
        return min(max(value, self.low), self.high)


def _rounded(values: list[float]) -> list[float]:
    """The values, rounded to 12 significant digits. If that would make some equal, they are returned as they are."""
    rounded = [float(f"{value:.12g}") for value in values]
    return rounded if len(set(rounded)) == len(set(values)) else values


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
    step: int | None = None
    """Only the values low, low + step, low + 2 * step, ... are allowed. `high` must be one of them."""
    prior: Prior | None = None
    """The `centre` and the `width` of where good values are believed to lie, see `hpo/space/priors.py`."""

    def __post_init__(self) -> None:
        raise_problems(range_problems(vars(self), whole=True))
        object.__setattr__(self, "prior", normalised_prior(self.prior))
        _copy_when(self)

    @property
    def n_values(self) -> int:
        """The number of values."""
        return (self.high - self.low) // (self.step or 1) + 1

    def value_at(self, index: int) -> int:
        """The value `index` steps above `low`."""
        return self.low + index * (self.step or 1)

    def index_of(self, value: float) -> int:
        """The number of steps from `low` to the allowed value that is nearest to `value`."""
        return min(max(round((value - self.low) / (self.step or 1)), 0), self.n_values - 1)

    def sample(self, rng: random.Random) -> int:
        if self.log:
            # Without the margins of 0.5, rounding would make `low` and `high` too rare.
            value = round(math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5))))
            return min(max(value, self.low), self.high)
        return self.value_at(rng.randrange(self.n_values))

    def contains(self, value: Value) -> bool:
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            return False
        return (value - self.low) % (self.step or 1) == 0

    def grid(self) -> tuple[int, ...]:
        """The values of `Float.grid` for the same range, rounded. Equal values appear once."""
        values = Float(self.low, self.high, self.log, self.default, self.points, step=self.step).grid()
        return tuple(dict.fromkeys(round(value) for value in values))


@dataclass(frozen=True)
class Categorical:
    """A list of choices: names, numbers, truth values, null, or lists of these, which are kept as tuples.

    Raises SpaceError if a field breaks a rule.
    """

    choices: tuple[Value, ...]
    default: Value = None
    when: When = field(default_factory=dict)
    """The conditions under which the hyperparameter is active. Without conditions, it is always active."""
    prior: Prior | None = None
    """The weights of some choices, see `hpo/space/priors.py`. The others have weight 1."""

    def __post_init__(self) -> None:
        raise_problems(choices_problems(vars(self)))
        object.__setattr__(self, "choices", with_tuples(self.choices))
        object.__setattr__(self, "prior", normalised_prior(self.prior, self.choices))
        object.__setattr__(self, "default", with_tuples(self.default))
        _copy_when(self)

    @property
    def n_values(self) -> int:
        """The number of choices."""
        return len(self.choices)

    @property
    def probabilities(self) -> tuple[float, ...]:
        """The probability of each choice by the prior. Without a prior, all are equal."""
        weights = choice_weights(self.prior, self.choices)
        largest = max(weights)
        total = sum(weight / largest for weight in weights)
        return tuple(weight / largest / total for weight in weights)

    def value_at(self, index: int) -> Value:
        """The choice at a position of the list, counted from 0."""
        return self.choices[index]

    def index_of(self, value: Value) -> int:
        """The position of a choice in the list. Raises ValueError if `value` is no choice."""
        return [comparison_key(choice) for choice in self.choices].index(comparison_key(value))

    def sample(self, rng: random.Random) -> Value:
        return self.choices[rng.randrange(len(self.choices))]

    def contains(self, value: Value) -> bool:
        return is_one_of(value, self.choices)

    def grid(self) -> tuple[Value, ...]:
        return self.choices


Domain = Float | Int | Categorical


def domain_to_dict(domain: Domain) -> dict[str, Any]:
    """A domain as plain values, in the form of a space file."""
    if isinstance(domain, Categorical):
        content: dict[str, Any] = {"choices": with_lists(domain.choices)}
    else:
        content = {"low": domain.low, "high": domain.high, "type": "int" if isinstance(domain, Int) else "float"}
        if domain.log:
            content["log"] = True
        content |= {key: value for key in ("step", "points") if (value := getattr(domain, key)) is not None}
    if domain.default is not None:
        content["default"] = with_lists(domain.default)
    if domain.when:
        content["when"] = {parent: with_lists(allowed) for parent, allowed in domain.when.items()}
    if domain.prior:
        content["prior"] = dict(domain.prior)
    return content


def _copy_when(domain: Domain) -> None:
    """Replace the conditions by a copy with tuples, so that equal conditions compare equal and cannot be changed.

    None stands for no conditions.
    """
    conditions = (domain.when or {}).items()
    object.__setattr__(domain, "when", {parent: with_tuples(allowed) for parent, allowed in conditions})

"""The conversion between the values of a range and positions from 0 to 1."""

from __future__ import annotations

import math

from hpo.space.domains import Float, Int
from hpo.trial import Value


def value_at(domain: Float | Int, unit: float) -> float | int:
    """The value at the position `unit`, from 0 to 1, on the linear or logarithmic scale of a range."""
    low, high = scale(domain)
    value = (1 - unit) * low + unit * high
    value = min(max(math.exp(value) if domain.log else value, domain.low), domain.high)
    if domain.step is not None:
        return domain.value_at(domain.index_of(value))
    return round(value) if isinstance(domain, Int) else value


def position(domain: Float | Int, value: Value) -> float:
    """The position of a value. It reverses `value_at`. The range must hold more than one value."""
    low, high = scale(domain)
    assert isinstance(value, int | float)
    scaled = math.log(value) if domain.log else float(value)
    return min(max((scaled - low) / (high - low), 0.0), 1.0)


def scale(domain: Float | Int) -> tuple[float, float]:
    """The ends of a range on its linear or logarithmic scale.

    A range of whole numbers, or with a step, is half a step wider on both sides. So the rounding gives `low` and `high`
    as large a share as the values between them.
    """
    margin = (domain.step or (1 if isinstance(domain, Int) else 0)) / 2
    low, high = domain.low - margin, domain.high + margin
    return (math.log(low), math.log(high)) if domain.log else (low, high)

"""The observations of the model: which rows it sees, and how their values are transformed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np

from hpo.backends._freeze_thaw.trials import Row
from hpo.space.encoding import FloatArray

WORST = 10.0
"""A value counts as no worse than the median plus this many times the distance from the lowest to the median."""

LARGEST, SMALLEST = 1e100, 1e-300
"""Bounds within which sums of squares and logarithms of values are finite."""

KEPT_WHOLE = 0.5
"""The share of the kept rows that are all rows of the best trials, when most other trials keep one row only."""


def times(epochs: Sequence[int], high: int) -> FloatArray:
    """The times of epochs: log(epoch) / log(high), from 0 to 1."""
    if high == 1:
        return np.ones(len(epochs))
    logarithms: FloatArray = np.log(np.asarray(epochs, float)) / math.log(high)
    return logarithms


class Transform:
    """The transform of values for the model, whose values have mean 0 and variance 1.

    - An infinite value or NaN counts as the worst finite one.
    - Positive values are replaced by their logarithms. So are values of at least 0, such as errors, of which some
      are 0, after half of the lowest positive one is added. Other values keep their scale.
    - A value far above all others is lowered, so that it does not hide the differences between the others.
    """

    def __init__(self, values: FloatArray) -> None:
        """`values` has shape (n,). At least one must be finite."""
        finite = np.clip(values[np.isfinite(values)], -LARGEST, LARGEST)
        self._worst = float(finite.max())
        self._scale = _scale(finite)
        scaled = self._scale(self._limited(values))
        lowest, median = float(scaled.min()), float(np.median(scaled))
        self._limit = median + WORST * (median - lowest) if median > lowest else math.inf
        scaled = np.minimum(scaled, self._limit)
        self._mean, self._deviation = float(scaled.mean()), float(scaled.std()) or 1.0

    def __call__(self, values: FloatArray) -> FloatArray:
        """The transformed values, in the same order. They grow with `values`."""
        scaled = np.minimum(self._scale(self._limited(values)), self._limit)
        standard: FloatArray = (scaled - self._mean) / self._deviation
        return standard

    def _limited(self, values: FloatArray) -> FloatArray:
        return np.clip(np.where(np.isfinite(values), values, self._worst), -LARGEST, LARGEST)


def _scale(finite: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """The scale on which values are modelled: logarithmic where it can be."""
    lowest, highest = float(finite.min()), float(finite.max())
    if lowest > 0:
        return np.log
    if lowest == 0 and highest > 0:
        offset = max(float(finite[finite > 0].min()) / 2, SMALLEST)
        return lambda values: np.log(values + offset)
    return lambda values: values


def thinned(rows: Sequence[Row], limit: int) -> list[Row]:
    """At most `limit` of the rows, in their order. All are kept if there are no more than that.

    The worse half of the trials keep their last row only. If that is not enough, all but the best trials do, and of
    these, only some, evenly spread from the best to the worst. A trial is as good as its last value.
    """
    if len(rows) <= limit:
        return list(rows)
    last = {row.trial: position for position, row in enumerate(rows)}
    ranked = sorted(last, key=lambda trial: (_ordered(rows[last[trial]].value), trial))
    whole = set(ranked[: (len(ranked) + 1) // 2])
    kept = [position for position, row in enumerate(rows) if row.trial in whole or last[row.trial] == position]
    if len(kept) > limit:
        n_rows = Counter(row.trial for row in rows)
        totals = list(accumulate(n_rows[trial] for trial in ranked))
        n_whole = max(1, sum(total <= KEPT_WHOLE * limit for total in totals))
        whole = set(ranked[:n_whole])
        kept = [position for position, row in enumerate(rows) if row.trial in whole][-limit:]
        rest = [last[trial] for trial in ranked[n_whole:]]
        n_rest = min(limit - len(kept), len(rest))
        kept = sorted({*kept, *(rest[i * len(rest) // n_rest] for i in range(n_rest))})
    return [rows[position] for position in kept]


def _ordered(value: float) -> float:
    return value if math.isfinite(value) else math.inf

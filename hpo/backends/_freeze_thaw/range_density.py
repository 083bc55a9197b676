"""The density of the prior of one range, relative to the uniform distribution over its positions from 0 to 1."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from hpo.backends._prior import TruncatedNormal
from hpo.space import Float, Int
from hpo.space.encoding import BoolArray, FloatArray
from hpo.space.unit_interval import scale

NARROW = 1e-3
"""A cell narrower than this share of the deviation has the density of its middle: the difference of the distribution
function would be lost by rounding."""


class RangeDensity:
    """The density of a truncated normal distribution over the values of a range. Its mean over the positions is 1.

    A range of whole numbers, or with a step, has a cell of positions around each value. The density at a value is the
    probability of the cell, divided by its width. Between two values, it is that of a cell around the position. So the
    density has a gradient.
    """

    def __init__(self, domain: Float | Int, normal: TruncatedNormal) -> None:
        self._normal = normal
        self._log = domain.log
        self._low, self._high = scale(domain)
        self._half = (domain.step or (1 if isinstance(domain, Int) else 0)) / 2
        self._ends = domain.low, domain.high

    def density(self, positions: FloatArray) -> FloatArray:
        """The density at positions. The result has their shape."""
        below, above, _, _ = self._cells(positions)
        result: FloatArray = np.where(
            self._are_narrow(below, above), self._at(positions), self._share(below, above) / _width(below, above)
        )
        return result

    def slope(self, position: float) -> float:
        """The derivative of `density` by the position."""
        x = np.array(position)
        below, above, of_below, of_above = self._cells(x)
        if self._are_narrow(below, above):
            return float(self._at(x) * (self._normal.mean - x) / self._normal.deviation**2)
        width = _width(below, above)
        of_share = self._at(above) * of_above - self._at(below) * of_below
        return float(of_share / width - self._share(below, above) * (of_above - of_below) / width**2)

    def _cells(self, positions: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """The lower and upper ends of the cells around positions, and the derivatives of both by the position."""
        size = self._high - self._low
        values = self._low + positions * size
        if not self._log:
            values = np.clip(values, *self._ends)
            ones = np.ones_like(values)
            return (values - self._half - self._low) / size, (values + self._half - self._low) / size, ones, ones
        values = np.clip(np.exp(values), *self._ends)
        below, above = values - self._half, values + self._half
        return (
            (np.log(below) - self._low) / size,
            (np.log(above) - self._low) / size,
            values / below,
            values / above,
        )

    def _are_narrow(self, below: FloatArray, above: FloatArray) -> BoolArray:
        return np.asarray(above - below < NARROW * self._normal.deviation, bool)

    def _at(self, positions: FloatArray) -> FloatArray:
        """The density of the truncated normal distribution."""
        z = (positions - self._normal.mean) / self._normal.deviation
        density: FloatArray = np.exp(self._normal.log_peak - 0.5 * z * z)
        return density

    def _share(self, below: FloatArray, above: FloatArray) -> FloatArray:
        """The probability between two positions. Above the mean, it is that of the mirrored cell, which is exact."""
        low, high = ((end - self._normal.mean) / self._normal.deviation for end in (below, above))
        is_above = low > 0
        share = np.where(is_above, ndtr(-low) - ndtr(-high), ndtr(high) - ndtr(low))
        result: FloatArray = share * np.exp(self._normal.log_peak) * self._normal.deviation * np.sqrt(2 * np.pi)
        return result


def _width(below: FloatArray, above: FloatArray) -> FloatArray:
    """The widths of cells. Narrow ones, whose widths are not used, may have 0."""
    return np.maximum(above - below, 1e-300)

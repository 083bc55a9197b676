"""Intervals of a mean over images: Wilson's for values between 0 and 1, one on the logarithm for losses.

Both are given by a mean and its standard error, so they also serve estimates that are no plain means.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hpo.statistics.units import Integers, Units

LEVEL = 0.95
"""The share of cases in which an interval is meant to hold the true value."""
MAX_EXPONENT = 100.0
"""Beyond it, the images say nothing about the mean of a loss: a few of them are all of it."""


class Interval(NamedTuple):
    """The limits of an interval."""

    low: float
    high: float

    def widened(self, value: float) -> Interval:
        """Return the interval that also holds `value`."""
        return Interval(min(self.low, value), max(self.high, value))


def mean_interval(
    values: NDArray[np.float64],
    *,
    is_share: bool,
    is_signed: bool = False,
    groups: Integers | None = None,
    folds: Integers | None = None,
    level: float = LEVEL,
) -> Interval:
    """Return the interval of the mean that the images come from. `values` (n,) holds one value for each image.

    `is_share` says that the mean lies between 0 and 1, as an error does, and `is_signed` that it may be below 0. Any
    other mean is taken as that of a loss.
    `groups` (n,) are the groups of the images, which are independent then, instead of the images. `folds` are those of
    `Units.of`.
    """
    units, mean = Units.of(groups, len(values), folds), float(values.mean())
    error = math.sqrt(float(units.variance_of_mean(values)))
    if is_share:
        error = max(error, units.least_error_of_share(values, mean))
    return interval(mean, error, units.n, is_share=is_share, is_signed=is_signed, level=level)


def interval(
    mean: float, error: float, n: int, *, is_share: bool, is_signed: bool = False, level: float = LEVEL
) -> Interval:
    """Return the interval of an estimate `mean` with the standard error `error`, from `n` images or groups.

    A share gets Wilson's interval (Wilson 1927), for the number of images at which a share of this size has this
    standard error. If all images agree, `error` is 0, and it is the interval for `n` images, one of each group. A loss
    gets the interval of Student's t on its logarithm, because losses are skewed: it is wider above than below. A mean
    that may be below 0 (`is_signed`) gets the plain one, whose limits are equally far from it. A single image says
    nothing, and neither do images that all have the same value, unless it is a share.
    """
    says_nothing = n < 2 or (error == 0 and not is_share)
    if says_nothing or not math.isfinite(mean) or not math.isfinite(error):
        lowest = 0.0 if mean >= 0 and not is_signed else -math.inf
        return Interval(0.0, 1.0) if is_share else Interval(lowest, math.inf)
    t = float(stats.t.ppf((1 + level) / 2, n - 1))
    if is_share:
        return _wilson(min(max(mean, 0.0), 1.0), error, n, t)
    if mean <= 0 or is_signed:
        return Interval(mean - t * error, mean + t * error)
    exponent = t * error / mean
    if exponent > MAX_EXPONENT:
        return Interval(0.0, math.inf)
    factor = math.exp(exponent)
    return Interval(mean / factor, mean * factor)


def _wilson(share: float, error: float, n: int, z: float) -> Interval:
    """Wilson's interval of a share, for the number of images at which it has the standard error `error`.

    `z` is the number of standard errors between the centre and a limit.
    """
    variance = share * (1 - share)
    n_effective = variance / error**2 if variance > 0 and error > 0 else float(n)
    divisor = 1 + z**2 / n_effective
    centre = (share + z**2 / (2 * n_effective)) / divisor
    half = z * math.sqrt(variance / n_effective + z**2 / (4 * n_effective**2)) / divisor
    return Interval(max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share)))

"""Numbers of the truncated normal distribution, one at a time, for the copies of library modules."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from scipy.special import log1p, log_ndtr, ndtr, ndtri_exp


class SeededTruncatedNormal:
    """`scipy.stats.truncnorm` with a random state of its own.

    It draws the same numbers. But SciPy's code is made for arrays, and needs much more time for a single number.
    """

    def __init__(self, stats: ModuleType, random_state: np.random.RandomState) -> None:
        self._stats, self._random_state = stats, random_state

    def rvs(self, a: float, b: float, *, loc: float, scale: float) -> float:
        if not (a < 0 < b and scale > 0):
            return float(self._stats.truncnorm.rvs(a, b, loc=loc, scale=scale, random_state=self._random_state))
        return float(_truncated_normal_quantile(self._random_state.uniform(), a, b) * scale + loc)


def _truncated_normal_quantile(q: float, a: float, b: float) -> float:
    """The quantile `q` of the standard normal distribution between `a` < 0 and `b` > 0.

    It takes SciPy's steps in SciPy's order, so that the last digit is the same.
    """
    log_mass = log1p(-ndtr(a) - ndtr(-b))
    low, high = sorted((log_ndtr(a), np.log(q) + log_mass))
    log_probability = np.log(2.0) + high if low == high else np.log1p(np.exp(low - high)) + high
    return float(ndtri_exp(log_probability))

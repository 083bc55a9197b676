"""Results over several trainings (seeds) on the same test images: intervals and differences with both spreads.

Seeds and images are crossed random effects: each seed is judged on each image. The variance of the mean is that of the
means of the seeds, plus that of the means of the images, less what both of them count (Searle, Casella and McCulloch,
"Variance Components", 1992). Each part has a quantile of Student's t of its own, because there are few seeds and many
images; their squares are added (Graybill and Wang, Journal of the American Statistical Association 75, 1980). If the
images have groups, these take the place of the images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from scipy import stats

from hpo.statistics.intervals import LEVEL, Interval, interval
from hpo.statistics.units import Doubles, Integers, Units

LOWEST_CHANCE = 1e-12
N_BISECTIONS = 40
"""The number of steps in which `_chance` finds its result, from LOWEST_CHANCE to 1."""


class _Part(NamedTuple):
    """A part of a variance."""

    variance: float
    freedom: int


def both_spreads(
    values: Doubles, *, is_share: bool, is_signed: bool = False, groups: Integers | None = None
) -> Interval:
    """Return the 95 % interval of the mean over other seeds and other images. `values` are (n_seeds, n_images).

    With one seed, the interval holds the spread over images only. `groups` (n_images,) are the groups of the images,
    None if these are independent.
    """
    units = Units.of(groups, values.shape[1])
    mean = float(values.mean())
    parts = [_of_images(values.mean(axis=0), units), _of_seeds(values, units)]
    # `interval` multiplies by the quantile of units.n - 1.
    error = _half_width(parts, 1 - LEVEL) / float(stats.t.ppf((1 + LEVEL) / 2, max(units.n - 1, 1)))
    if is_share:
        error = max(error, units.least_error_of_share(values.mean(axis=0), mean))
    return interval(mean, error, units.n, is_share=is_share, is_signed=is_signed)


def differing(trials: Sequence[Doubles], groups: Integers | None = None) -> list[tuple[int, int]]:
    """Return the pairs of trials whose means differ, as indices, the trial with the lower mean first.

    Each trial has values (n_seeds, n_images), on the same images and with any number of seeds. The differences are
    paired over the images. They are corrected for the number of pairs by Holm (Scandinavian Journal of Statistics 6,
    1979): in at most 5 % of cases a pair is named that does not differ. `groups` are those of `both_spreads`.
    """
    units = Units.of(groups, trials[0].shape[1])
    chances = {}
    for i in range(len(trials)):
        for j in range(i):
            difference = trials[i].mean(axis=0) - trials[j].mean(axis=0)
            parts = [_of_images(difference, units), _of_seeds(trials[i], units), _of_seeds(trials[j], units)]
            mean = float(difference.mean())
            chances[(i, j) if mean < 0 else (j, i)] = _chance(abs(mean), parts)
    found = []
    for n_before, (pair, chance) in enumerate(sorted(chances.items(), key=lambda each: each[1])):
        if chance > (1 - LEVEL) / (len(chances) - n_before):
            break
        found.append(pair)
    return found


def _of_images(means: Doubles, units: Units) -> _Part:
    """The variance that comes from the images, of the mean of `means` (n_images,). Infinite for one image or group."""
    return _Part(float(units.variance_of_mean(means)), max(units.n - 1, 1))


def _of_seeds(values: Doubles, units: Units) -> _Part:
    """The variance that comes from the seeds alone, of the mean of `values` (n_seeds, n_images). 0 for one seed."""
    n_seeds = len(values)
    if n_seeds < 2 or units.n < 2:
        return _Part(0.0, 1)
    by_seed = values.mean(axis=1)
    rest = values - by_seed[:, None] - values.mean(axis=0) + values.mean()
    of_rest = float(units.variance_of_mean(rest).sum()) / (n_seeds * (n_seeds - 1))
    return _Part(max(float(by_seed.var(ddof=1)) / n_seeds - of_rest, 0.0), n_seeds - 1)


def _half_width(parts: Sequence[_Part], chance: float) -> float:
    """The half of the interval that misses the truth with this chance. Infinite if a variance is."""
    squares = (part.variance * float(stats.t.isf(chance / 2, part.freedom)) ** 2 for part in parts if part.variance)
    return math.sqrt(sum(squares))


def _chance(difference: float, parts: Sequence[_Part]) -> float:
    """The chance of at least this difference of two means that are equal: of the interval that just reaches it."""
    if not 0 < sum(part.variance for part in parts) < math.inf:
        return 1.0
    low, high = LOWEST_CHANCE, 1.0
    for _ in range(N_BISECTIONS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if _half_width(parts, middle) < difference else (middle, high)
    return high

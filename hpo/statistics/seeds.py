"""Results over several trainings (seeds) on the same test images: intervals and differences with both spreads.

Seeds and images are crossed random effects: each seed is judged on each image. The variance of the mean is that of the
means of the seeds, plus that of the means of the images, less what both of them count (Searle, Casella and McCulloch,
"Variance Components", 1992). Its degrees of freedom are Satterthwaite's (Biometrics Bulletin 2, 1946).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hpo.statistics.intervals import LEVEL, Interval, interval

Doubles = NDArray[np.float64]


class _Part(NamedTuple):
    """A part of a variance."""

    variance: float
    freedom: int


def both_spreads(values: Doubles, *, is_share: bool) -> Interval:
    """Return the 95 % interval of the mean over other seeds and other images. `values` are (n_seeds, n_images).

    With one seed, the interval holds the spread over images only.
    """
    n_images = values.shape[1]
    mean = float(values.mean())
    parts = [_of_images(values.mean(axis=0)), _of_seeds(values)]
    return interval(
        mean, math.sqrt(sum(part.variance for part in parts)), n_images, is_share=is_share, freedom=_freedom(parts)
    )


def differing(trials: Sequence[Doubles]) -> list[tuple[int, int]]:
    """Return the pairs of trials whose means differ, as indices, the trial with the lower mean first.

    Each trial has values (n_seeds, n_images), on the same images and with any number of seeds. The differences are
    paired over the images. They are corrected for the number of pairs by Holm (Scandinavian Journal of Statistics 6,
    1979): in at most 5 % of cases a pair is named that does not differ.
    """
    chances = {}
    for i in range(len(trials)):
        for j in range(i):
            difference = trials[i].mean(axis=0) - trials[j].mean(axis=0)
            parts = [_of_images(difference), _of_seeds(trials[i]), _of_seeds(trials[j])]
            error = math.sqrt(sum(part.variance for part in parts))
            mean = float(difference.mean())
            chance = 2 * float(stats.t.sf(abs(mean) / error, _freedom(parts))) if error > 0 else 1.0
            chances[(i, j) if mean < 0 else (j, i)] = chance
    found = []
    for n_before, (pair, chance) in enumerate(sorted(chances.items(), key=lambda each: each[1])):
        if chance > (1 - LEVEL) / (len(chances) - n_before):
            break
        found.append(pair)
    return found


def _of_images(means: Doubles) -> _Part:
    """The variance that comes from the images, of the mean of `means` (n_images,). Infinite for one image."""
    n = len(means)
    return _Part(float(means.var(ddof=1)) / n if n > 1 else math.inf, max(n - 1, 1))


def _of_seeds(values: Doubles) -> _Part:
    """The variance that comes from the seeds alone, of the mean of `values` (n_seeds, n_images). 0 for one seed."""
    n_seeds, n_images = values.shape
    if n_seeds < 2 or n_images < 2:
        return _Part(0.0, 1)
    by_seed = values.mean(axis=1)
    rest = values - by_seed[:, None] - values.mean(axis=0) + values.mean()
    of_rest = float((rest**2).sum()) / ((n_seeds - 1) * (n_images - 1)) / (n_seeds * n_images)
    return _Part(max(float(by_seed.var(ddof=1)) / n_seeds - of_rest, 0.0), n_seeds - 1)


def _freedom(parts: Sequence[_Part]) -> float:
    """The degrees of freedom of the sum of the parts of a variance."""
    total = sum(part.variance for part in parts)
    if not 0 < total < math.inf:
        return float(parts[0].freedom)
    return total**2 / sum(part.variance**2 / part.freedom for part in parts)

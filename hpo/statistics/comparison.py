"""Paired comparisons of trials on the same images, corrected for the number of comparisons.

An image that is hard for one trial is hard for most of them, so the difference of two trials is known better than
either value. The images are resampled, and all trials are judged on each sample (the bootstrap). The largest
standardised difference among the trials that arises by chance gives one limit for all of them (max-T: Westfall and
Young, "Resampling-Based Multiple Testing", 1993).

If the images have groups, the groups are resampled. Resamples of few groups vary too little, so the limit is then at
least that of Student's t for the number of groups, corrected by Bonferroni.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hpo.statistics.intervals import LEVEL
from hpo.statistics.units import Integers, Units

N_RESAMPLES = 500
MAX_COUNTED = 30
"""The largest number of images that differ for which they are counted, besides the resampling."""
N_AT_A_TIME = 100
"""The number of resamples that are in memory together."""


def not_apart(
    values: NDArray[np.float32],
    best: int,
    rng: np.random.Generator,
    *,
    is_share: bool,
    groups: Integers | None = None,
    folds: Integers | None = None,
) -> NDArray[np.bool_]:
    """Return which trials cannot be told apart from the trial in row `best`, (n_trials,). It is one of them.

    `values` (n_trials, n_images) holds one value for each trial and image; lower is better. `is_share`, `groups` and
    `folds` are those of `intervals.mean_interval`. In at least 95 % of studies the trial that is truly the best is
    among those returned, whichever looks best.
    """
    differences = values - values[best]
    units = Units.of(groups, differences.shape[1], folds)
    if units.n < 2:
        return np.ones(len(values), np.bool_)
    means = differences.mean(axis=1, dtype=np.float64)
    errors = np.sqrt(units.variance_of_mean(differences, means))
    differs = errors > 0
    limit = float(stats.t.ppf(LEVEL, units.n - 1))
    if differs.any():
        by_chance = _largest_by_chance(differences[differs], means[differs], errors[differs], units, rng)
        limit = max(limit, float(np.quantile(by_chance, LEVEL)))
    if units.of_images is not None:
        limit = max(limit, float(stats.t.ppf(1 - (1 - LEVEL) / max(len(values) - 1, 1), units.n - 1)))
    one_image = 1 / differences.shape[1] if is_share else 0.0
    result: NDArray[np.bool_] = means <= limit * np.hypot(errors, one_image)
    return result | _agree_by_counts(differences) if is_share and units.of_images is None else result


def _agree_by_counts(differences: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether trials cannot be told apart from the best by the counts of the images that differ, if these are few.

    The resampling takes the few images that differ for all that can differ, so it is too sure. The exact test of
    McNemar is not (Psychometrika 12, 1947): each image that differs is as likely to be better as worse by chance. Its
    level is that of Bonferroni. It is for values that are 0 or 1, and False for others.
    """
    n_worse, n_better = (differences > 0).sum(axis=1), (differences < 0).sum(axis=1)
    n_differing = n_worse + n_better
    is_plain = np.isin(differences, (-1, 0, 1)).all(axis=1)
    is_counted = is_plain & (n_differing <= MAX_COUNTED)
    chances = stats.binom.sf(n_worse - 1, n_differing, 0.5)
    result: NDArray[np.bool_] = is_counted & (chances > (1 - LEVEL) / max(len(differences) - 1, 1))
    return result


def _largest_by_chance(
    differences: NDArray[np.float32],
    means: NDArray[np.float64],
    errors: NDArray[np.float64],
    units: Units,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """The largest of the standardised differences of all trials by chance, in each resample of the units."""
    of_units, n = units.sums(differences), units.n
    largest = []
    for _ in range(N_RESAMPLES // N_AT_A_TIME):
        drawn = rng.integers(n, size=(N_AT_A_TIME, n))
        drawn += np.arange(N_AT_A_TIME)[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=N_AT_A_TIME * n).reshape(N_AT_A_TIME, n).astype(np.float32)
        sampled = counts @ of_units.T / (counts @ units.weights)[:, None]
        largest.append(((means - sampled) / errors).max(axis=1))
    return np.concatenate(largest)

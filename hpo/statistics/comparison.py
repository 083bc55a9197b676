"""Paired comparisons of trials on the same images, corrected for the number of comparisons.

An image that is hard for one trial is hard for most of them, so the difference of two trials is known better than
either value. The images are resampled, and all trials are judged on each sample (the bootstrap). The largest
standardised difference among the trials that arises by chance gives one limit for all of them (max-T: Westfall and
Young, "Resampling-Based Multiple Testing", 1993).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hpo.statistics.intervals import LEVEL

N_RESAMPLES = 500
MAX_COUNTED = 30
"""The largest number of images that differ for which they are counted, besides the resampling."""
N_AT_A_TIME = 100
"""The number of resamples that are in memory together."""


def not_apart(values: NDArray[np.float32], best: int, rng: np.random.Generator, *, is_share: bool) -> NDArray[np.bool_]:
    """Return which trials cannot be told apart from the trial in row `best`, (n_trials,). It is one of them.

    `values` (n_trials, n_images) holds one value for each trial and image; lower is better. `is_share` is that of
    `intervals.interval`. In at least 95 % of studies the trial that is truly the best is among those returned,
    whichever looks best.
    """
    differences = values - values[best]
    n_images = differences.shape[1]
    if n_images < 2:
        return np.ones(len(values), np.bool_)
    means = differences.mean(axis=1, dtype=np.float64)
    errors = differences.std(axis=1, ddof=1, dtype=np.float64) / np.sqrt(n_images)
    differs = errors > 0
    limit = float(stats.t.ppf(LEVEL, n_images - 1))
    if differs.any():
        by_chance = _largest_by_chance(differences[differs], means[differs], errors[differs], rng)
        limit = max(limit, float(np.quantile(by_chance, LEVEL)))
    one_image = 1 / n_images if is_share else 0.0
    result: NDArray[np.bool_] = means <= limit * np.hypot(errors, one_image)
    return result | _agree_by_counts(differences) if is_share else result


def _agree_by_counts(differences: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether trials cannot be told apart from the best by the counts of the images that differ, if these are few.

    The resampling takes the few images that differ for all that can differ, so it is too sure. The exact test of
    McNemar is not (Psychometrika 12, 1947): each image that differs is as likely to be better as worse by chance. Its
    level is that of Bonferroni. It is for values that are 0 or 1, and False for others.
    """
    n_worse, n_better = (differences == 1).sum(axis=1), (differences == -1).sum(axis=1)
    n_differing = n_worse + n_better
    is_counted = (n_differing == (differences != 0).sum(axis=1)) & (n_differing <= MAX_COUNTED)
    chances = stats.binom.sf(n_worse - 1, n_differing, 0.5)
    result: NDArray[np.bool_] = is_counted & (chances > (1 - LEVEL) / max(len(differences) - 1, 1))
    return result


def _largest_by_chance(
    differences: NDArray[np.float32], means: NDArray[np.float64], errors: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """The largest of the standardised differences of all trials by chance, in each resample of the images."""
    n_images = differences.shape[1]
    largest = []
    for _ in range(N_RESAMPLES // N_AT_A_TIME):
        drawn = rng.integers(n_images, size=(N_AT_A_TIME, n_images))
        drawn += np.arange(N_AT_A_TIME)[:, None] * n_images
        counts = np.bincount(drawn.ravel(), minlength=N_AT_A_TIME * n_images).reshape(N_AT_A_TIME, n_images)
        sampled = counts.astype(np.float32) @ differences.T / n_images
        largest.append(((means - sampled) / errors).max(axis=1))
    return np.concatenate(largest)

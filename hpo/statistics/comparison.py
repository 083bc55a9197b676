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
N_AT_A_TIME = 100
"""The number of resamples that are in memory together."""


def not_apart(values: NDArray[np.float32], best: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which trials cannot be told apart from the trial in row `best`, (n_trials,). It is one of them.

    `values` (n_trials, n_images) holds one value for each trial and image; lower is better. In at least 95 % of studies
    the trial that is truly the best is among those returned, whichever looks best.
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
        highest = _highest(differences[differs], means[differs], errors[differs], rng)
        limit = max(limit, float(np.quantile(highest, LEVEL)))
    result: NDArray[np.bool_] = means <= limit * errors
    return result


def _highest(
    differences: NDArray[np.float32], means: NDArray[np.float64], errors: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """The highest of the standardised differences of all trials by chance, in each resample of the images."""
    n_images = differences.shape[1]
    highest = []
    for _ in range(N_RESAMPLES // N_AT_A_TIME):
        drawn = rng.integers(n_images, size=(N_AT_A_TIME, n_images))
        drawn += np.arange(N_AT_A_TIME)[:, None] * n_images
        counts = np.bincount(drawn.ravel(), minlength=N_AT_A_TIME * n_images).reshape(N_AT_A_TIME, n_images)
        sampled = counts.astype(np.float32) @ differences.T / n_images
        highest.append(((means - sampled) / errors).max(axis=1))
    return np.concatenate(highest)

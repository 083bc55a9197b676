"""Other corrections for having chosen the best of many trials, for `benchmarks/honesty.py` to compare with ours.

Each takes values (n_trials, n_images), one for each trial and image, and returns the corrected mean of the best trial.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
N_RESAMPLES = 100
N_PARTS = 10
NAMES = ("BBC-CV", "optimism bootstrap", "Tibshirani")
"""The names of the corrections."""


def others(values: Floats, rng: np.random.Generator) -> dict[str, float]:
    """Return the corrected mean of the best trial by each of NAMES."""
    counts, sampled = _resampled(values, rng)
    corrected = (_bbc(values, counts, sampled), _optimism(values, sampled), _tibshirani(values, rng))
    return dict(zip(NAMES, corrected, strict=True))


def _bbc(values: Floats, counts: Floats, sampled: Floats) -> float:
    """Bootstrap bias correction: choose on a bootstrap sample, score on the images outside it.

    Tsamardinos, Greasidou and Borboudakis, Machine Learning 107, 2018: BBC-CV.
    """
    outside = (counts == 0).astype(np.float32)
    scores = outside @ values.T / np.maximum(outside.sum(axis=1, keepdims=True), 1)
    return float(scores[np.arange(len(scores)), sampled.argmin(axis=1)].mean())


def _optimism(values: Floats, sampled: Floats) -> float:
    """Efron's bootstrap of the optimism: that of the winner of each sample on the sample, against all images.

    Efron, Journal of the American Statistical Association 78, 1983; Harrell, Lee and Mark, Statistics in Medicine 15,
    1996.
    """
    means, chosen, rows = values.mean(axis=1), sampled.argmin(axis=1), np.arange(len(sampled))
    return float(means.min() + (means[chosen] - sampled[rows, chosen]).mean())


def _tibshirani(values: Floats, rng: np.random.Generator) -> float:
    """The bias of the smallest mean of each of ten parts against the chosen trial's mean there.

    Tibshirani and Tibshirani, Annals of Applied Statistics 3, 2009.
    """
    means, n_images = values.mean(axis=1), values.shape[1]
    parts = np.array_split(rng.permutation(n_images), min(N_PARTS, n_images))
    of_parts = np.stack([values[:, part].mean(axis=1) for part in parts])
    return float(means.min() + (of_parts[:, means.argmin()] - of_parts.min(axis=1)).mean())


def _resampled(values: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """How often each image is in each bootstrap sample, (n_resamples, n_images), and the means of the trials there."""
    n_images = values.shape[1]
    drawn = rng.integers(n_images, size=(N_RESAMPLES, n_images)) + np.arange(N_RESAMPLES)[:, None] * n_images
    flat = np.bincount(drawn.ravel(), minlength=N_RESAMPLES * n_images)
    counts: Floats = flat.reshape(N_RESAMPLES, n_images).astype(np.float32)
    return counts, counts @ values.T / n_images

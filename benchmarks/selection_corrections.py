"""Other corrections for having chosen the best of many trials, for `benchmarks/honesty.py` to compare with ours.

Each takes values (n_trials, n_images), one for each trial and image, and returns the corrected mean of the best trial.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpo.statistics.selection import TIE_WEIGHT

Floats = NDArray[np.float32]
N_RESAMPLES = 100
N_PARTS = 10
NAMES = ("BBC-CV", "optimism bootstrap", "Tibshirani")
"""The names of the corrections."""


def corrected_by_others(
    values: Floats, best: int, rng: np.random.Generator, tie_breakers: Floats | None = None
) -> dict[str, float]:
    """Return the corrected mean of the trial in row `best` by each of NAMES.

    All choose as ours does: of equal means, that with the lower mean of `tie_breakers`.
    """
    counts = _resampled(values.shape[1], rng)
    corrected = (
        _bbc(values, counts, tie_breakers),
        _optimism(values, best, counts, tie_breakers),
        _tibshirani(values, best, rng, tie_breakers),
    )
    return dict(zip(NAMES, corrected, strict=True))


def _bbc(values: Floats, counts: Floats, tie_breakers: Floats | None) -> float:
    """Bootstrap bias correction: choose on a bootstrap sample, score on the images outside it.

    Tsamardinos, Greasidou and Borboudakis, Machine Learning 107, 2018: BBC-CV.
    """
    outside = (counts == 0).astype(np.float32)
    scores = outside @ values.T / np.maximum(outside.sum(axis=1, keepdims=True), 1)
    return float(scores[np.arange(len(scores)), _choices(values, counts, tie_breakers)].mean())


def _optimism(values: Floats, best: int, counts: Floats, tie_breakers: Floats | None) -> float:
    """Efron's bootstrap of the optimism: that of the winner of each sample on the sample, against all images.

    Efron, Journal of the American Statistical Association 78, 1983; Harrell, Lee and Mark, Statistics in Medicine 15,
    1996.
    """
    means, chosen = values.mean(axis=1), _choices(values, counts, tie_breakers)
    sampled = (counts @ values.T)[np.arange(len(counts)), chosen] / values.shape[1]
    return float(means[best] + (means[chosen] - sampled).mean())


def _tibshirani(values: Floats, best: int, rng: np.random.Generator, tie_breakers: Floats | None) -> float:
    """The bias of the best of each of ten parts against the chosen trial's mean there.

    Tibshirani and Tibshirani, Annals of Applied Statistics 3, 2009.
    """
    n_images = values.shape[1]
    n_parts = min(N_PARTS, n_images)
    counts = (rng.permutation(np.arange(n_images) % n_parts) == np.arange(n_parts)[:, None]).astype(np.float32)
    of_parts = counts @ values.T / counts.sum(axis=1, keepdims=True)
    best_of_parts = of_parts[np.arange(n_parts), _choices(values, counts, tie_breakers)]
    return float(values[best].mean() + (of_parts[:, best] - best_of_parts).mean())


def _choices(values: Floats, counts: Floats, tie_breakers: Floats | None) -> NDArray[np.int64]:
    """The best trial on each sample of the images, whose `counts` are (n_samples, n_images)."""
    n_judging = counts.sum(axis=1, keepdims=True)
    means = (counts @ values.T).astype(np.float64) / n_judging
    if tie_breakers is not None:
        means += TIE_WEIGHT * np.tanh(counts @ tie_breakers.T / n_judging)
    result: NDArray[np.int64] = means.argmin(axis=1)
    return result


def _resampled(n_images: int, rng: np.random.Generator) -> Floats:
    """How often each image is in each bootstrap sample, (N_RESAMPLES, n_images)."""
    drawn = rng.integers(n_images, size=(N_RESAMPLES, n_images)) + np.arange(N_RESAMPLES)[:, None] * n_images
    flat = np.bincount(drawn.ravel(), minlength=N_RESAMPLES * n_images)
    counts: Floats = flat.reshape(N_RESAMPLES, n_images).astype(np.float32)
    return counts

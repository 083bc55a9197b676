"""The estimate of a trial that was chosen because it was the best of many, with the luck of being chosen taken off.

The choice is repeated on four fifths of the images, and what it chooses is scored on the last fifth. So no image judges
a trial that it helped to choose. This is the nested cross-validation of Varma and Simon (BMC Bioinformatics 7, 2006),
without any training: only the choice is repeated. It needs the values of all trials for all images.

Why four fifths. Bootstrap bias correction (Tsamardinos, Greasidou and Borboudakis, Machine Learning 107, 2018) repeats
the choice on a bootstrap sample, in which the luck of the choice is as large as on half of the images. Then clearly
better trials are missed more often. In `benchmarks/honesty.py` both take off nearly all of the optimism.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpo.statistics.intervals import Interval, interval

N_PARTS = 5
"""The number of parts of the images. Each in turn scores what the others choose."""
N_REPEATS = 40
"""The number of random cuts into parts. The estimate is the mean over them."""
CHOICE_WEIGHT = 2.0
"""How much the variance that comes from choosing other trials adds to that of the images.

It was set with `benchmarks/honesty.py`, so that the intervals of simulated studies hold the truth in 95 % of cases.
"""
TIE_WEIGHT = 1e-6
"""How much the values that break ties count beside the values: less than one image does."""


class Chosen(NamedTuple):
    """The estimate of a trial that was chosen for being the best."""

    estimate: float
    """Its mean on new images."""
    interval: Interval
    """The 95 % interval of the estimate. It holds the trial's mean on the images that it was chosen by, too."""
    share_of_choices: float
    """The share of the choices on four fifths of the images that chose this trial."""


def chosen(
    values: NDArray[np.float32],
    best: int,
    rng: np.random.Generator,
    *,
    is_share: bool,
    tie_breakers: NDArray[np.float32] | None = None,
) -> Chosen:
    """Return the estimate of the trial in row `best`, the one with the lowest mean.

    `values` (n_trials, n_images) holds one value for each trial and image, in an order of the trials that does not
    depend on the values. `tie_breakers` of the same shape decide between equal means, the lowest first. `is_share` is
    that of `intervals.interval`.
    """
    n_images = values.shape[1]
    if n_images < 2:
        return Chosen(float(values[best].mean()), interval(0.5, math.inf, n_images, is_share=is_share), 1.0)
    choices = choose_without(random_parts(n_images, rng), values, tie_breakers)
    scores = scores_of(choices, values)
    estimate = float(scores.mean())
    limits = interval(estimate, math.sqrt(variance_of_mean(scores)), n_images, is_share=is_share)
    return Chosen(estimate, limits.widened(float(values[best].mean())), float((choices == best).mean()))


def random_parts(n_images: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the part of each image in each of the random cuts, (N_REPEATS, n_images), from 0 to N_PARTS - 1."""
    parts = np.arange(n_images) % min(N_PARTS, n_images)
    return np.stack([rng.permutation(parts) for _ in range(N_REPEATS)])


def choose_without(
    parts: NDArray[np.int64], values: NDArray[np.float32], tie_breakers: NDArray[np.float32] | None
) -> NDArray[np.int64]:
    """Return the trial that is chosen without each image, for each of the cuts `parts`, (N_REPEATS, n_images).

    Images of one part share it: all of them are left out together.
    """
    n_repeats, n_images = parts.shape
    n_parts = int(parts.max()) + 1
    is_left_out = parts[:, None] == np.arange(n_parts)[:, None]  # (n_repeats, n_parts, n_images)
    counts = 1 - is_left_out.reshape(-1, n_images).astype(np.float32)
    n_judging = counts.sum(axis=1, keepdims=True)
    means = (counts @ values.T).astype(np.float64) / n_judging  # float32 adds whole numbers without an error
    if tie_breakers is not None:
        means += TIE_WEIGHT * np.tanh(counts @ tie_breakers.T / n_judging)
    chosen_by_part = means.argmin(axis=1).reshape(n_repeats, n_parts)
    result: NDArray[np.int64] = np.take_along_axis(chosen_by_part, parts, axis=1)
    return result


def scores_of(choices: NDArray[np.int64], values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the value of each image by the trial that was chosen without it, (N_REPEATS, n_images)."""
    result: NDArray[np.float64] = values[choices, np.arange(values.shape[1])].astype(np.float64)
    return result


def variance_of_mean(scores: NDArray[np.float64]) -> float:
    """Return the variance of the mean of scores, or of differences of scores, (N_REPEATS, n_images).

    It is that over the images, and CHOICE_WEIGHT times what comes from choosing other trials in other cuts.
    """
    variance = float(scores.var())
    choice_variance = max(0.0, variance - float(scores.mean(axis=0).var()))
    n_images: int = scores.shape[1]
    return (variance + CHOICE_WEIGHT * choice_variance) / (n_images - 1)

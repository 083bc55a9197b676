"""Simulated studies whose true errors and losses are known, for `benchmarks/honesty.py`.

A trial has an ability, and an image a difficulty that all trials share. A trial classifies an image correctly if its
ability exceeds the difficulty and a normal noise of its own. So the true error is the normal distribution function of
the ability.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

TRUTHS = ("equal", "close", "spread", "search", "alike", "epochs")
"""How the trials differ: not at all; less than the luck on a few images; more; many near a ceiling, and bad ones; not
at all, and they answer almost alike: each differs from the others in about N_FLIPPED images; less than the luck on a
few images, and each may be judged at any of N_EPOCHS epochs."""
N_EPOCHS = 6
OF_EPOCHS = 0.3
"""The share of the noise of a trial that each of its epochs has for itself."""
N_FLIPPED = 2
SHARED = (0.3, 0.85)
"""The share of the variance that is the images' difficulty: how alike the errors of two trials are."""
MEAN_ERROR = 0.15
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(60)


class Study(NamedTuple):
    """The values for each image, (n_rows, n_images), and their true means, (n_rows,).

    A row is a trial, or an epoch of one.
    """

    errors: NDArray[np.float32]
    losses: NDArray[np.float32]
    true_errors: NDArray[np.float64]
    true_losses: NDArray[np.float64]
    trials: NDArray[np.int64]
    """(n_rows,): the trial of each row, in ascending order."""


def simulated(n_trials: int, n_images: int, truth: str, shared: float, rng: np.random.Generator) -> Study:
    """Return a study of trials that differ as `truth` says. `shared` is one of SHARED."""
    if truth == "alike":
        shared = _shared_of_alike(n_images)
    ability = float(ndtri(1 - MEAN_ERROR)) + _differences(n_trials, truth, rng)
    noise = rng.standard_normal((n_trials, n_images), np.float32)
    trials = np.arange(n_trials)
    if truth == "epochs":
        trials = np.repeat(trials, N_EPOCHS)
        ability = ability[trials] - np.tile(0.5 * np.exp(-np.arange(N_EPOCHS)), n_trials)
        own = rng.standard_normal((len(trials), n_images), np.float32)
        noise = np.float32(np.sqrt(1 - OF_EPOCHS)) * noise[trials] + np.float32(np.sqrt(OF_EPOCHS)) * own
    difficulty = rng.standard_normal(n_images, np.float32)
    margins = np.float32(np.sqrt(1 - shared)) * noise - np.float32(np.sqrt(shared)) * difficulty
    margins += ability[:, None].astype(np.float32)
    true_losses = (_loss(ability[:, None] + _NODES) * _WEIGHTS).sum(axis=1) / _WEIGHTS.sum()
    return Study((margins < 0).astype(np.float32), _loss(margins), ndtr(-ability), true_losses, trials)


def _shared_of_alike(n_images: int) -> float:
    """The share of the difficulty at which two trials disagree on about N_FLIPPED images, to first order.

    Two margins that differ by a normal number of a small deviation d have different signs with the chance
    d sqrt(2 / pi) / 2 times the density at the border.
    """
    border = float(ndtri(1 - MEAN_ERROR))
    density = float(np.exp(-(border**2) / 2) / np.sqrt(2 * np.pi))
    deviation = N_FLIPPED / n_images / density * np.sqrt(np.pi / 2)
    return float(max(1 - deviation**2 / 2, 0.3))


def _differences(n_trials: int, truth: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """The abilities of the trials, less that of the mean error."""
    if truth == "search":
        return 0.2 - 0.25 * rng.exponential(size=n_trials) ** 1.5
    deviation = {"equal": 0.0, "alike": 0.0, "close": 0.1, "epochs": 0.1, "spread": 0.4}[truth]
    return deviation * rng.standard_normal(n_trials)


def _loss(margins: NDArray[np.floating]) -> NDArray[np.float32]:
    """The cross-entropy of an image that is classified with such margins, which are half a difference of logits."""
    result: NDArray[np.float32] = np.logaddexp(0, -2 * margins)
    return result

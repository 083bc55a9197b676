"""The proposal of a new configuration: the one with the highest expected improvement of its final value.

Jones, Schonlau, Welch, Efficient Global Optimization of Expensive Black-Box Functions, Journal of Global Optimization,
1998. The logarithm is computed without underflow, as in Ament, Daulton, Eriksson, Balandat, Bakshy, Unexpected
Improvements to Expected Improvement for Bayesian Optimization, NeurIPS 2023.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_ndtr, ndtr

from hpo.backends._freeze_thaw.model import Prediction
from hpo.backends._freeze_thaw.user_prior import UserPrior
from hpo.space.encoding import Encoding, FloatArray

N_CANDIDATES = 200
"""The number of candidates. Half are uniform or follow the user's prior, and half lie around the trials with the lowest
expected values."""
N_CENTRES = 5
"""The number of trials around which candidates are drawn."""
CHANGED_CHOICES = 0.1
"""The probability with which a choice of a candidate is drawn anew."""
MAX_ITERATIONS, MAX_EVALUATIONS = 30, 40
"""The bounds of each local search."""


class Proposals(NamedTuple):
    """The candidates of one ask, and the best point found from them."""

    point: FloatArray
    """The best point, of shape (d,). It is that of a configuration."""
    score: float
    """The logarithm of the expected improvement there, without the user's prior."""
    candidates: FloatArray
    """All candidates, of shape (n, d)."""
    scores: FloatArray
    """The logarithm of the acquisition at each, of shape (n,)."""


def propose(
    prediction: Prediction, encoding: Encoding, prior: UserPrior, power: float, rng: np.random.Generator
) -> Proposals:
    """The configuration with the highest acquisition, and the candidates from which it was found.

    The acquisition is the expected improvement, multiplied by the user's prior to the given power.
    """
    candidates = draw_candidates(prediction, encoding, prior, rng)
    scores = log_expected_improvement(*prediction.posterior.predict(candidates), prediction.best)
    scores += power * prior.log_density(candidates)
    half = len(candidates) // 2
    point, score = candidates[scores.argmax()], float(scores.max())
    for start in (int(scores[:half].argmax()), half + int(scores[half:].argmax())):
        climbed = encoding.snap(climb(prediction, candidates[start], encoding, prior, power)[None])
        climbed_score = float(log_expected_improvement(*prediction.posterior.predict(climbed), prediction.best)[0])
        climbed_score += power * float(prior.log_density(climbed)[0])
        if climbed_score > score:
            point, score = climbed[0], climbed_score
    score -= power * float(prior.log_density(point[None])[0])
    return Proposals(point, score, candidates, scores)


def draw_candidates(
    prediction: Prediction, encoding: Encoding, prior: UserPrior, rng: np.random.Generator
) -> FloatArray:
    """Candidates, of shape (N_CANDIDATES, d): first uniform ones, then some around the most promising trials.

    Every second uniform one is mapped to the user's prior.
    """
    half, d = N_CANDIDATES // 2, encoding.n_coordinates
    centres = prediction.points[np.argsort(prediction.means, kind="stable")[:N_CENTRES]]
    around = np.resize(np.repeat(centres, -(-half // len(centres)), axis=0), (half, d))
    is_moved = rng.random(around.shape) < max(0.3, 1.5 / d)
    is_moved[np.arange(half), rng.integers(d, size=half)] = True
    steps = 10 ** rng.uniform(-2, -0.3, (half, 1)) * rng.standard_normal(around.shape)
    candidates = np.concatenate([rng.random((half, d)), np.where(is_moved, around + steps, around)])
    candidates[:half:2] = prior.mapped(candidates[:half:2])
    for where in encoding.choices:
        is_new = rng.random(len(candidates)) < CHANGED_CHOICES
        candidates[is_new, where] = rng.random((int(is_new.sum()), where.stop - where.start))
    return encoding.snap(candidates)


def climb(prediction: Prediction, start: FloatArray, encoding: Encoding, prior: UserPrior, power: float) -> FloatArray:
    """A point near `start` with a higher acquisition. Only the coordinates of active ranges move."""
    posterior, best, point = prediction.posterior, prediction.best, start.copy()
    is_movable = encoding.movable(start)
    if not is_movable.any():
        return start

    def loss(moved: FloatArray) -> tuple[float, FloatArray]:
        point[is_movable] = moved
        mean, deviation, of_mean, of_deviation = posterior.gradient(point)
        z = (best - mean) / deviation
        log_h = float(log_improvement(np.array([z]))[0])
        slope = math.exp(min(float(log_ndtr(z)) - log_h, 50.0))
        gradient = of_deviation / deviation - slope * (of_mean + z * of_deviation) / deviation
        log_density = float(prior.log_density(point[None])[0])
        gradient += power * prior.slope(point)
        return -math.log(deviation) - log_h - power * log_density, -gradient[is_movable]

    found = minimize(
        loss,
        start[is_movable],
        jac=True,
        method="L-BFGS-B",
        bounds=np.stack([encoding.low, encoding.high], axis=1)[is_movable],
        options={"maxiter": MAX_ITERATIONS, "maxfun": MAX_EVALUATIONS},
    )
    point[is_movable] = np.clip(found.x, 0.0, 1.0)
    return point


def log_expected_improvement(means: FloatArray, deviations: FloatArray, best: float) -> FloatArray:
    """The logarithm of the expected amount by which a value is lower than `best`, or 0 if it is not."""
    score: FloatArray = np.log(deviations) + log_improvement((best - means) / deviations)
    return score


def log_improvement(z: FloatArray) -> FloatArray:
    """log(phi(z) + z Phi(z)), with the density and the distribution function of the normal distribution."""
    result = np.empty_like(z)
    is_near = z > -5
    near, far = z[is_near], z[~is_near]
    result[is_near] = np.log(np.exp(-0.5 * near * near) / math.sqrt(2 * math.pi) + near * ndtr(near))
    # The asymptotic form, because the two terms cancel each other.
    result[~is_near] = -0.5 * far * far - 0.5 * math.log(2 * math.pi) - 2 * np.log(-far) + np.log1p(-3 / (far * far))
    return result

"""The posterior of the Gaussian process, against the formulas of a textbook."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from hpo.backends._freeze_thaw.kernel import Rows, covariance, parameters
from hpo.backends._freeze_thaw.posterior import Factor, Posterior, empty_factor, stable_cholesky
from hpo.space.encoding import FloatArray
from tests.backends.freeze_thaw.data import D, random_rows, random_theta


def factor_of(rows: Rows, seed: int, *sizes: int) -> Factor:
    """The factor of rows that are added in groups of these sizes."""
    factor, start = empty_factor(parameters(random_theta(seed)), rows.points), 0
    for size in sizes:
        part = slice(start, start + size)
        factor, start = factor.extended(rows.points, rows.trials[part], rows.times[part]), start + size
    return factor


def textbook(
    rows: Rows, seed: int, values: FloatArray, points: FloatArray, time: float
) -> tuple[FloatArray, FloatArray]:
    """Rasmussen, Williams, Gaussian Processes for Machine Learning, 2006, equations 2.25 and 2.26."""
    at = parameters(random_theta(seed))
    gram = covariance(at, rows.points[rows.trials], rows.times, rows) + at.noise * np.eye(len(values))
    known = covariance(at, points, time, rows)
    mean: FloatArray = known @ np.linalg.solve(gram, values)
    variance = at.total_variance - np.einsum("ij,ji->i", known, np.linalg.solve(gram, known.T))
    return mean, np.sqrt(variance)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sizes", [(24,), (10, 14), (1, 5, 16, 2)])
def test_means_and_deviations_are_those_of_a_textbook(seed: int, sizes: tuple[int, ...]) -> None:
    rows, rng = random_rows(seed), np.random.default_rng(seed)
    values, points = rng.standard_normal(24), rng.random((7, D))
    posterior = Posterior(factor_of(rows, seed, *sizes), values)
    for time in (1.0, 0.3):
        means, deviations = textbook(rows, seed, values, points, time)
        assert np.allclose(posterior.predict(points, time)[0], means)
        assert np.allclose(posterior.predict(points, time)[1], deviations)
        assert np.allclose(posterior.mean(points, time), means)


@pytest.mark.parametrize("seed", range(3))
def test_gradients_agree_with_finite_differences(seed: int) -> None:
    rng = np.random.default_rng(seed)
    posterior = Posterior(factor_of(random_rows(seed), seed, 24), rng.standard_normal(24))
    point = rng.random(D)
    mean, deviation, of_mean, of_deviation = posterior.gradient(point)
    means, deviations = posterior.predict(point[None])
    assert np.allclose([mean, deviation], [means[0], deviations[0]])
    assert np.allclose(of_mean, approx_fprime(point, lambda at: posterior.gradient(at)[0], 1e-7), atol=1e-5)
    assert np.allclose(of_deviation, approx_fprime(point, lambda at: posterior.gradient(at)[1], 1e-7), atol=1e-5)


def test_an_expected_value_as_an_observation_leaves_all_means_as_they_were() -> None:
    rows, rng = random_rows(0), np.random.default_rng(0)
    factor, values, points = factor_of(rows, 0, 24), rng.standard_normal(24), rng.random((5, D))
    before = Posterior(factor, values)
    expected = before.mean(rows.points[:2])
    after = Posterior(factor.extended(rows.points, np.array([0, 1]), np.ones(2)), np.concatenate([values, expected]))
    assert np.allclose(after.mean(points), before.mean(points))
    assert np.all(after.predict(points)[1] <= before.predict(points)[1] + 1e-12)


def test_a_singular_matrix_is_made_regular_by_a_small_diagonal() -> None:
    factor = stable_cholesky(np.ones((4, 4)))
    assert np.allclose(factor @ factor.T, np.ones((4, 4)), atol=1e-4)

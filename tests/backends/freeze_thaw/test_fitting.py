"""The fit of the kernel's parameters."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.backends._freeze_thaw.fitting import Loss, fit
from hpo.backends._freeze_thaw.kernel import Rows, covariance, parameters, prior
from tests.backends.freeze_thaw.data import D, random_rows, random_theta


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_of_the_loss_agrees_with_finite_differences(seed: int) -> None:
    rows = random_rows(seed)
    loss = Loss(prior(D, D), rows, np.random.default_rng(seed).standard_normal(len(rows.trials)))
    theta = random_theta(seed)
    steps = 1e-5 * np.eye(len(theta))
    differences = [(loss(theta + step)[0] - loss(theta - step)[0]) / 2e-5 for step in steps]
    assert np.allclose(loss(theta)[1], differences, rtol=1e-5, atol=1e-3)


def test_the_loss_is_the_negative_log_density_of_a_textbook() -> None:
    rows, values, believed = random_rows(0), np.random.default_rng(0).standard_normal(24), prior(D, D)
    loss = Loss(believed, rows, values)

    def expected(theta: np.ndarray) -> float:
        at = parameters(theta)
        gram = covariance(at, rows.points[rows.trials], rows.times, rows) + at.noise * np.eye(24)
        offset = (theta - believed.mean) / believed.deviation
        fits = values @ np.linalg.solve(gram, values)
        return float(0.5 * (fits + np.linalg.slogdet(gram)[1] + offset @ offset))

    thetas = random_theta(0), random_theta(1)
    assert np.isclose(loss(thetas[0])[0] - loss(thetas[1])[0], expected(thetas[0]) - expected(thetas[1]))


def test_a_fit_finds_which_coordinate_matters() -> None:
    rng = np.random.default_rng(0)
    points = rng.random((40, D))
    rows = Rows(points, np.arange(40), np.ones(40))
    values = np.sin(6 * points[:, 1])
    found = fit(prior(D, D), rows, (values - values.mean()) / values.std())
    assert found.lengths[1] < 0.7 * min(found.lengths[0], found.lengths[2])


def test_a_fit_does_not_depend_on_the_order_of_the_rows() -> None:
    rows, values = random_rows(0), np.random.default_rng(0).standard_normal(24)
    order = np.argsort(rows.trials, kind="stable")
    sorted_rows = Rows(rows.points, rows.trials[order], rows.times[order])
    first, second = fit(prior(D, D), rows, values), fit(prior(D, D), sorted_rows, values[order])
    assert np.allclose(first.lengths, second.lengths)
    assert np.isclose(first.noise, second.noise)


def test_equal_rows_with_equal_values_are_no_error() -> None:
    rows = Rows(np.full((2, D), 0.5), np.array([0, 1] * 5), np.ones(10))
    assert fit(prior(D, D), rows, np.zeros(10)).noise > 0

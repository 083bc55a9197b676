"""The kernel over configurations and epochs."""

from __future__ import annotations

import numpy as np

from hpo.backends._freeze_thaw.kernel import Rows, covariance, matern, matern_with_slope, parameters, prior
from tests.backends.freeze_thaw.data import random_rows, random_theta


def test_the_slope_of_the_matern_kernel_is_its_derivative_by_the_logarithm_of_the_length() -> None:
    distance, step = np.array([0.01, 0.3, 1.0, 4.0]), 1e-6
    assert np.allclose(matern_with_slope(distance)[0], matern(distance))
    by_length = (matern(distance / np.exp(step)) - matern(distance / np.exp(-step))) / (2 * step)
    assert np.allclose(by_length, matern_with_slope(distance)[1] * distance**2, atol=1e-8)


def test_a_covariance_matrix_is_symmetric_and_positive_definite() -> None:
    rows, theta = random_rows(0), random_theta(0)
    gram = covariance(parameters(theta), rows.points[rows.trials], rows.times, rows)
    assert np.allclose(gram, gram.T)
    assert np.linalg.eigvalsh(gram).min() > -1e-8


def test_the_variance_of_a_value_is_its_covariance_with_itself() -> None:
    rows, at = random_rows(1), parameters(random_theta(1))
    gram = covariance(at, rows.points[rows.trials], rows.times, rows)
    assert np.allclose(np.diag(gram), at.total_variance)


def test_values_of_one_configuration_are_closer_to_each_other_the_nearer_their_epochs() -> None:
    at = parameters(prior(2, 2).mean)
    rows = Rows(np.full((1, 2), 0.5), np.zeros(3, np.intp), np.array([0.2, 0.5, 1.0]))
    known = covariance(at, rows.points, 1.0, rows)[0]
    assert known[0] < known[1] < known[2] == at.total_variance


def test_a_space_without_coordinates_has_a_kernel_over_epochs() -> None:
    at = parameters(prior(0, 0).mean)
    rows = Rows(np.zeros((1, 0)), np.zeros(2, np.intp), np.array([0.0, 1.0]))
    assert covariance(at, np.zeros((1, 0)), 1.0, rows).shape == (1, 2)

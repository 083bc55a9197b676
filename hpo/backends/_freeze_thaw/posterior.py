"""The posterior of the Gaussian process: the mean and the deviation of values, given observations.

A posterior can be extended by more rows, at the cost of the new rows alone. It is exact, apart from rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from hpo.backends._freeze_thaw.kernel import (
    IntArray,
    Parameters,
    Rows,
    covariance,
    matern_with_slope,
    time_kernel,
)
from hpo.space.encoding import FloatArray

MIN_VARIANCE = 1e-10
"""The smallest variance of a value, so that its deviation is never 0."""


@dataclass(frozen=True)
class Factor:
    """The inverse of the Cholesky factor of the covariance matrix of rows."""

    at: Parameters
    rows: Rows
    inverse: FloatArray
    """A lower triangular matrix L of shape (n, n): the inverse of the covariance matrix is L^T L."""

    def extended(self, points: FloatArray, trials: IntArray, times: FloatArray) -> Factor:
        """The factor with more rows, of shape (p,) each. `points` are those of all trials, of shape (m, d)."""
        n, p = len(self.inverse), len(trials)
        old = self.rows._replace(points=points)
        cross = covariance(self.at, points[trials], times, old) @ self.inverse.T
        own = covariance(self.at, points[trials], times, Rows(points, trials, times))
        own[np.diag_indices(p)] += self.at.noise
        corner = solve_triangular(stable_cholesky(own - cross @ cross.T), np.eye(p), lower=True, check_finite=False)
        inverse = np.zeros((n + p, n + p))
        inverse[:n, :n] = self.inverse
        inverse[n:, :n] = -corner @ cross @ self.inverse
        inverse[n:, n:] = corner
        rows = Rows(points, np.concatenate([old.trials, trials]), np.concatenate([old.times, times]))
        return Factor(self.at, rows, inverse)


def empty_factor(at: Parameters, points: FloatArray) -> Factor:
    """The factor without any row."""
    return Factor(at, Rows(points, np.zeros(0, np.intp), np.zeros(0)), np.zeros((0, 0)))


class Trend(Protocol):
    """The mean of the values before any observation. It is the same at all epochs."""

    def at(self, points: FloatArray) -> FloatArray:
        """The mean at points of shape (q, d). The result has shape (q,)."""
        ...

    def gradient(self, point: FloatArray) -> tuple[float, FloatArray]:
        """The mean at one point, of shape (d,), and its gradient by the point."""
        ...


class Posterior:
    """The values of configurations at times, given that the rows of a factor have `values`, of shape (n,)."""

    def __init__(self, factor: Factor, values: FloatArray, trend: Trend | None = None) -> None:
        """`trend` is the mean before any observation, 0 by default."""
        self._at, self._rows, self._inverse, self._trend = factor.at, factor.rows, factor.inverse, trend
        if trend is not None:
            values = values - trend.at(factor.rows.points)[factor.rows.trials]
        self._weights = self._inverse.T @ (self._inverse @ values)

    def predict(self, points: FloatArray, time: float = 1.0) -> tuple[FloatArray, FloatArray]:
        """The means and deviations at points of shape (q, d) and one time. The last epoch has the time 1."""
        known = covariance(self._at, points, time, self._rows)
        reduced = known @ self._inverse.T
        variance = self._at.total_variance - np.einsum("ij,ij->i", reduced, reduced)
        return self._means(known, points), np.sqrt(np.maximum(variance, MIN_VARIANCE))

    def mean(self, points: FloatArray, time: float = 1.0) -> FloatArray:
        """The means alone, which cost much less."""
        return self._means(covariance(self._at, points, time, self._rows), points)

    def _means(self, known: FloatArray, points: FloatArray) -> FloatArray:
        """The means at points, whose covariances with the rows are `known`."""
        means: FloatArray = known @ self._weights
        return means if self._trend is None else means + self._trend.at(points)

    def gradient(self, point: FloatArray, time: float = 1.0) -> tuple[float, float, FloatArray, FloatArray]:
        """The mean and the deviation at one point, of shape (d,), and their gradients by the point."""
        known, by_point = self._known(point, time)
        reduced = self._inverse @ known
        deviation = math.sqrt(max(self._at.total_variance - float(reduced @ reduced), MIN_VARIANCE))
        of_deviation = -by_point(self._inverse.T @ reduced) / deviation
        mean, of_mean = float(known @ self._weights), by_point(self._weights)
        if self._trend is not None:
            trend, of_trend = self._trend.gradient(point)
            mean, of_mean = mean + trend, of_mean + of_trend
        return mean, deviation, of_mean, of_deviation

    def mean_gradient(self, point: FloatArray) -> tuple[float, FloatArray]:
        """The mean at one point at the last epoch and its gradient, which alone cost much less. There is no trend."""
        known, by_point = self._known(point, 1.0)
        return float(known @ self._weights), by_point(self._weights)

    def _known(self, point: FloatArray, time: float) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
        """The covariances of the value at a point with the rows, and the gradient of weights @ these by the point."""
        at, rows = self._at, self._rows
        curves = time_kernel(time - rows.times, at.time_length)
        steps = point - rows.points
        first, first_slope = matern_with_slope(np.sqrt(((steps / at.lengths) ** 2).sum(1)))
        second, second_slope = matern_with_slope(np.sqrt(((steps / at.curve_lengths) ** 2).sum(1)))
        known = at.variance * first[rows.trials] + 1.0
        known += (at.curve_variance * second[rows.trials] + at.time_variance) * curves
        slopes = at.variance * first_slope, at.curve_variance * second_slope

        def by_point(weights: FloatArray) -> FloatArray:
            by_trial = np.bincount(rows.trials, weights, len(rows.points)) * slopes[0]
            by_curve = np.bincount(rows.trials, weights * curves, len(rows.points)) * slopes[1]
            gradient: FloatArray = -(by_trial @ steps) / at.lengths**2 - (by_curve @ steps) / at.curve_lengths**2
            return gradient

        return known, by_point


def stable_cholesky(matrix: FloatArray) -> FloatArray:
    """The lower Cholesky factor of a covariance matrix. If rounding made it singular, its diagonal is raised."""
    jitter = 0.0
    while True:
        try:
            factor: FloatArray = cholesky(matrix + jitter * np.eye(len(matrix)), lower=True, check_finite=False)
        except LinAlgError:
            jitter = max(1e-6, 10 * jitter)
        else:
            return factor

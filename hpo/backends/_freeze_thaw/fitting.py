"""The fit of the kernel's parameters: the most probable ones, given observations and the prior.

Each fit begins at the mean of the prior, so it depends on its observations alone, and not on earlier fits. A fit takes
a bounded number of evaluations. Each costs about n^3 + m^2 d operations for n rows about m trials in d coordinates.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cholesky, lapack, solve_triangular
from scipy.optimize import minimize

from hpo.backends._freeze_thaw.kernel import Parameters, Prior, Rows, matern_with_slope, parameters, time_kernel
from hpo.space.encoding import FloatArray

MAX_ITERATIONS = 40
"""The number of iterations of a fit."""
MAX_EVALUATIONS = 50
"""The number of evaluations of the loss in a fit."""
FAILED = 1e10
"""The loss of parameters whose covariance matrix is singular."""


def fit(prior: Prior, rows: Rows, values: FloatArray) -> Parameters:
    """The most probable parameters of the kernel, given `values` of shape (n,) at `rows`."""
    loss = Loss(prior, rows, values)
    found = minimize(
        loss,
        prior.mean,
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(prior.low, prior.high, strict=True)),
        options={"maxiter": MAX_ITERATIONS, "maxfun": MAX_EVALUATIONS, "ftol": 1e-5},
    )
    has_failed = not np.isfinite(found.fun) or found.fun >= FAILED
    return parameters(prior.mean if has_failed else found.x)


class Loss:
    """The negative logarithm of the posterior density of the parameters, up to a constant."""

    def __init__(self, prior: Prior, rows: Rows, values: FloatArray) -> None:
        order = np.argsort(rows.trials, kind="stable")
        self._trials, self._times, self._values = rows.trials[order], rows.times[order], values[order]
        # The rows of each trial stand side by side. These are the first ones.
        is_first = np.diff(self._trials, prepend=-1) != 0
        self._first = np.flatnonzero(is_first)
        self._trials, points = np.cumsum(is_first) - 1, rows.points[self._trials[self._first]]
        self._m = len(points)
        self._squares = ((points[:, None] - points[None]) ** 2).reshape(self._m**2, -1)
        self._gaps = self._times[:, None] - self._times[None]
        self._squared_gaps = self._gaps**2
        self._prior = prior

    def __call__(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """The loss at `theta`, and its gradient."""
        at, d = parameters(theta), (len(theta) - 5) // 2
        first, first_slope = matern_with_slope(self._distances(at.lengths))
        second, second_slope = matern_with_slope(self._distances(at.curve_lengths))
        curves = time_kernel(self._gaps, at.time_length)
        varying = at.curve_variance * self._by_row(second) + at.time_variance
        gram = at.variance * self._by_row(first) + varying * curves + 1.0
        gram[np.diag_indices_from(gram)] += at.noise
        try:
            factor = cholesky(gram, lower=True, overwrite_a=True, check_finite=False)
        except LinAlgError:
            return FAILED, np.zeros_like(theta)
        reduced = solve_triangular(factor, self._values, lower=True, check_finite=False)
        value = 0.5 * float(reduced @ reduced) + float(np.log(np.diag(factor)).sum())
        weights = solve_triangular(factor, reduced, lower=True, trans=1, check_finite=False)
        # The gradient of the likelihood by a parameter is half the sum of (inverse - weights weights^T) times the
        # gradient of `gram`. That one is symmetric, so the lower triangle of the inverse counts twice.
        outer, _ = lapack.dpotri(factor, lower=1)
        outer[np.diag_indices_from(outer)] *= 0.5
        outer *= 2
        outer -= np.outer(weights, weights)
        outer_curves = outer * curves
        by_pair, by_pair_curves = self._by_trial(outer), self._by_trial(outer_curves)
        gradient = np.empty_like(theta)
        gradient[:d] = at.variance * self._by_length(by_pair * first_slope) / at.lengths**2
        gradient[d : 2 * d] = at.curve_variance * self._by_length(by_pair_curves * second_slope) / at.curve_lengths**2
        gradient[2 * d :] = (
            2 * at.variance * (by_pair * first).sum(),
            2 * at.curve_variance * (by_pair_curves * second).sum(),
            (outer_curves * varying * self._squared_gaps).sum() / at.time_length**2,
            2 * at.time_variance * outer_curves.sum(),
            at.noise * np.trace(outer),
        )
        offset = (theta - self._prior.mean) / self._prior.deviation
        return value + 0.5 * float(offset @ offset), 0.5 * gradient + offset / self._prior.deviation

    def _distances(self, lengths: FloatArray) -> FloatArray:
        """The scaled distances of the trials, of shape (m, m)."""
        return np.sqrt(self._squares @ lengths**-2.0).reshape(self._m, self._m)

    def _by_row(self, matrix: FloatArray) -> FloatArray:
        """The entries of a matrix over pairs of trials for each pair of rows, of shape (n, n)."""
        return matrix[self._trials][:, self._trials]

    def _by_trial(self, matrix: FloatArray) -> FloatArray:
        """The sums of a matrix over the rows of each pair of trials, of shape (m, m)."""
        return np.add.reduceat(np.add.reduceat(matrix, self._first, axis=0), self._first, axis=1)

    def _by_length(self, matrix: FloatArray) -> FloatArray:
        """The sums over all pairs of trials of `matrix` times the squared difference, of shape (d,)."""
        return matrix.ravel() @ self._squares

"""The kernel of the Gaussian process over configurations and epochs, and the prior of its parameters.

    k((x, u), (y, v)) = s1 M1(x, y) + s2 M2(x, y) R(u, v) + st R(u, v) + 1, and the noise on the diagonal

x and y are points of the unit cube, and u and v are times: log(epoch) / log(last epoch). M1 and M2 are Matern kernels
of smoothness 5/2, each with a length for each coordinate. R is the squared exponential kernel. The first term is what a
configuration is worth at all times, the second how its curve differs from that, and the third the curve that all
configurations share. The last is an unknown constant.

After Swersky, Snoek, Adams, Freeze-Thaw Bayesian Optimization, arXiv:1406.3896, 2014, with another kernel for curves.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpo.space.encoding import FloatArray

IntArray = NDArray[np.intp]

SQRT5 = math.sqrt(5.0)

MEDIAN_LENGTH, LENGTH_SPREAD = 1.0, 0.4
"""The prior of a length, lognormal: its median for four hyperparameters, and the deviation of its logarithm."""
LOG_NOISE = -7.0
"""The mean of the prior of the logarithm of the noise variance, where the values have variance 1."""


class Parameters(NamedTuple):
    """The parameters of the kernel. `theta` is the vector of their logarithms, see `parameters`."""

    lengths: FloatArray
    """The lengths of M1, of shape (d,)."""
    curve_lengths: FloatArray
    """The lengths of M2, of shape (d,)."""
    variance: float
    """s1."""
    curve_variance: float
    """s2."""
    time_length: float
    """The length of R."""
    time_variance: float
    """st."""
    noise: float
    """The variance of the noise."""

    @property
    def total_variance(self) -> float:
        """The variance of a value before any observation, without the noise."""
        return self.variance + self.curve_variance + self.time_variance + 1.0


class Prior(NamedTuple):
    """The prior of `theta`: independent normal distributions within bounds. Each field has shape (2 d + 5,)."""

    mean: FloatArray
    deviation: FloatArray
    low: FloatArray
    high: FloatArray


class Rows(NamedTuple):
    """Observations: n rows about m trials."""

    points: FloatArray
    """The point of each trial, of shape (m, d)."""
    trials: IntArray
    """The trial of each row, as an index into `points`, of shape (n,)."""
    times: FloatArray
    """The time of each row, of shape (n,)."""


def parameters(theta: FloatArray) -> Parameters:
    """The parameters whose logarithms are `theta`: M1's lengths, M2's lengths, sqrt(s1), sqrt(s2), R's length,
    sqrt(st), the noise."""
    d = (len(theta) - 5) // 2
    root1, root2, time_length, root_t, noise = np.exp(theta[2 * d :]).tolist()
    lengths, curve_lengths = np.exp(theta[:d]), np.exp(theta[d : 2 * d])
    return Parameters(lengths, curve_lengths, root1**2, root2**2, time_length, root_t**2, noise)


def prior(n_coordinates: int, n_hyperparameters: int) -> Prior:
    """The prior of `theta`. Its lengths grow with the number of hyperparameters, as the distances of points do."""
    d = 2 * n_coordinates
    length = math.log(MEDIAN_LENGTH) + 0.5 * math.log(max(n_hyperparameters, 1) / 4)
    return Prior(
        np.array([length] * d + [0.0, -0.5, math.log(0.5), -0.5, LOG_NOISE]),
        np.array([LENGTH_SPREAD] * d + [0.7, 0.7, 0.5, 0.7, 1.5]),
        np.array([math.log(0.05)] * d + [-4.0, -4.0, math.log(0.15), -4.0, math.log(1e-6)]),
        np.array([math.log(30.0)] * d + [2.5, 2.5, math.log(3.0), 2.5, math.log(0.3)]),
    )


def matern(distances: FloatArray) -> FloatArray:
    """The Matern kernel of smoothness 5/2 at scaled distances."""
    scaled = SQRT5 * distances
    kernel = scaled * scaled
    kernel /= 3
    kernel += scaled
    kernel += 1
    kernel *= np.exp(-scaled)
    return kernel


def matern_with_slope(distances: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The Matern kernel, and its derivative by log(length j), divided by (difference j / length j)^2."""
    scaled = SQRT5 * distances
    decay = np.exp(-scaled)
    linear = 1 + scaled
    return (linear + scaled * scaled / 3) * decay, 5 / 3 * linear * decay


def time_kernel(differences: FloatArray, length: float) -> FloatArray:
    """R at differences of times."""
    return np.exp(-0.5 * (differences / length) ** 2)


def covariance(at: Parameters, points: FloatArray, times: FloatArray | float, rows: Rows) -> FloatArray:
    """The covariances of values with the observations, without the noise, of shape (q, n).

    `points` has shape (q, d), and `times` has shape (q,) or is one time for all.
    """
    curves = time_kernel(np.reshape(times, (-1, 1)) - rows.times, at.time_length)
    used, trials = np.unique(rows.trials, return_inverse=True)
    first = at.variance * matern(_distances(points, rows.points[used], at.lengths))
    second = at.curve_variance * matern(_distances(points, rows.points[used], at.curve_lengths))
    known = second[:, trials]
    known += at.time_variance
    known *= curves
    known += first[:, trials]
    known += 1.0
    return known


def _distances(a: FloatArray, b: FloatArray, lengths: FloatArray) -> FloatArray:
    """The scaled distances between two sets of points, of shape (len(a), len(b))."""
    a, b = a / lengths, b / lengths
    squares: FloatArray = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * (a @ b.T)
    return np.sqrt(np.maximum(squares, 0.0))

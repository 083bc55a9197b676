"""The user's prior over the points of the unit cube, and how much of it counts as evidence grows.

Hvarfner, Stoll, Souza, Lindauer, Hutter, Nardi, pi-BO: Augmenting Acquisition Functions with User Beliefs for Bayesian
Optimization, ICLR 2022.
"""

from __future__ import annotations

import numpy as np

from hpo.backends._freeze_thaw.range_density import RangeDensity
from hpo.backends._freeze_thaw.trials import Trials
from hpo.backends._prior import choice_at, range_prior
from hpo.space import Categorical, SearchSpace
from hpo.space.encoding import CHOSEN, Encoding, FloatArray

STRENGTH = 3.0
"""The acquisition is multiplied by the prior to the power of this, divided by the number of trials: beta in the paper.

Trials count, and not full trainings, because each trial tells something of its configuration after a few epochs.
"""
UNSURE = 0.1
"""The share of each range's prior that counts as uniform. So values far from the centre are never ruled out."""


def exponent(trials: Trials) -> float:
    """The power to which the prior counts."""
    return STRENGTH / max(1, len(trials))


class UserPrior:
    """The density of the user's prior, relative to the uniform distribution: its mean over the cube is 1.

    Each hyperparameter has its own factor. Those without a prior, and those that are not active, count as
    uniform. Without any prior, points are drawn unchanged, and the density is 1 everywhere.
    """

    def __init__(self, space: SearchSpace, encoding: Encoding) -> None:
        self._encoding = encoding
        self._ranges = []
        self._choices = []
        for name, where in encoding.where.items():
            domain = space.domains[name]
            if where.stop == where.start or not domain.prior:
                continue
            if isinstance(domain, Categorical):
                self._choices.append((name, where, domain.probabilities))
            elif (normal := range_prior(domain)) is not None:
                self._ranges.append((name, where.start, normal, RangeDensity(domain, normal)))

    def centre(self) -> FloatArray:
        """The centres of the ranges and the choices with the highest weights. Without a prior, the centre of the cube.

        The point has shape (d,).
        """
        point = np.full(self._encoding.n_coordinates, 0.5)
        for _, column, normal, _ in self._ranges:
            point[column] = normal.mean
        for _, where, probabilities in self._choices:
            point[where] = np.asarray(probabilities) == max(probabilities)
        return point

    def mapped(self, uniform: FloatArray) -> FloatArray:
        """Points that follow the prior, from points that are uniform in the cube, both of shape (n, d).

        Each coordinate is mapped by the inverse distribution function. A choice is the one at its first coordinate.
        """
        points = uniform.copy()
        for _, column, normal, _ in self._ranges:
            points[:, column] = [normal.position_at(float(u)) for u in uniform[:, column]]
        for _, where, probabilities in self._choices:
            chosen = np.array([choice_at(probabilities, float(u)) for u in uniform[:, where.start]])
            points[:, where] = CHOSEN * (chosen[:, None] == np.arange(len(probabilities)))
        return points

    def log_density(self, points: FloatArray) -> FloatArray:
        """The logarithm of the density at points of configurations, of shape (n, d). The result has shape (n,)."""
        total = np.zeros(len(points))
        if not self._ranges and not self._choices:
            return total
        is_active = self._encoding.active(points)
        for name, column, _, prior in self._ranges:
            density = UNSURE + (1 - UNSURE) * prior.density(points[:, column])
            total += np.where(is_active[name], np.log(density), 0.0)
        for name, where, probabilities in self._choices:
            relative = np.log(len(probabilities) * np.array(probabilities))
            total += np.where(is_active[name], relative[points[:, where].argmax(axis=1)], 0.0)
        return total

    def slope(self, point: FloatArray) -> FloatArray:
        """The gradient of `log_density` in the coordinates of all ranges, as if they were active, of shape (d,)."""
        gradient = np.zeros(len(point))
        for _, column, _, prior in self._ranges:
            density = UNSURE + (1 - UNSURE) * float(prior.density(point[column]))
            gradient[column] = (1 - UNSURE) * prior.slope(float(point[column])) / density
        return gradient

"""The priors of hyperparameters on positions from 0 to 1, and random values that follow them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import accumulate
from statistics import NormalDist
from typing import NamedTuple

from hpo.space import Categorical, Domain, Float, Int, SearchSpace
from hpo.space.unit_interval import position, scale, value_at
from hpo.trial import Config, Value

NARROWEST, WIDEST = 1e-6, 1e3
"""The bounds of a deviation, as a share of the range. Beyond them, differences would be lost by rounding."""


class TruncatedNormal(NamedTuple):
    """A normal distribution, truncated to positions from 0 to 1. The mean lies between them."""

    mean: float
    deviation: float

    def position_at(self, quantile: float) -> float:
        """The position below which this share of the distribution lies: the inverse distribution function."""
        low, high = self._ends()
        share = min(max(low + quantile * (high - low), 1e-300), 1 - 2**-53)
        return min(max(self.mean + self.deviation * NormalDist().inv_cdf(share), 0.0), 1.0)

    @property
    def log_peak(self) -> float:
        """The logarithm of the density at the mean. That of the uniform distribution is 0."""
        low, high = self._ends()
        return -math.log(self.deviation * math.sqrt(2 * math.pi) * (high - low))

    def _ends(self) -> tuple[float, float]:
        """The shares of the normal distribution below 0 and below 1."""
        normal = NormalDist()
        return normal.cdf(-self.mean / self.deviation), normal.cdf((1 - self.mean) / self.deviation)


def range_prior(domain: Float | Int) -> TruncatedNormal | None:
    """The prior of a range on the positions of its linear or logarithmic scale. None without a prior."""
    if not domain.prior or domain.n_values == 1:
        return None
    low, high = scale(domain)
    width = domain.prior["width"]
    deviation = (math.log(width) if domain.log else width) / (high - low)
    return TruncatedNormal(position(domain, domain.prior["centre"]), min(max(deviation, NARROWEST), WIDEST))


def choice_at(probabilities: Sequence[float], quantile: float) -> int:
    """The position of the choice at which the sum of the probabilities exceeds `quantile`, from 0 to 1."""
    sums = accumulate(probabilities)
    return next((index for index, total in enumerate(sums) if quantile < total), len(probabilities) - 1)


def sample(space: SearchSpace, rng: random.Random) -> Config:
    """A random configuration that follows the priors of a space. Without any, it is that of `space.sample`."""
    return space.completed({}, lambda name: draw(space.domains[name], rng))


def draw(domain: Domain, rng: random.Random) -> Value:
    """A random value that follows the prior of a domain. Without one, it is that of `domain.sample`."""
    if isinstance(domain, Categorical):
        return domain.value_at(choice_at(domain.probabilities, rng.random())) if domain.prior else domain.sample(rng)
    prior = range_prior(domain)
    return domain.sample(rng) if prior is None else value_at(domain, prior.position_at(rng.random()))

"""The encoding of configurations as points of the unit cube, in which their distances can be compared.

The Gaussian process of freeze_thaw works on these points.

A range takes one coordinate, on its linear or logarithmic scale. A choice takes one coordinate for each of its choices,
which is 1 / sqrt(2) for the chosen one and 0 for the others: the distance between two different choices is 1. A
hyperparameter that is not active has the middle of its coordinates, so two configurations without it do not differ in
it. A hyperparameter of a single value takes no coordinate.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hpo.space.domains import Categorical, Domain, Float, Int
from hpo.space.search_space import SearchSpace
from hpo.space.unit_interval import position, scale, value_at
from hpo.space.values import is_one_of
from hpo.trial import Config, Value

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

CHOSEN = 1 / math.sqrt(2)
"""The coordinate of the chosen one of several choices."""


class Encoding:
    """Converts the configurations of one space into points and back."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        sizes = [_n_coordinates(domain) for domain in space.domains.values()]
        ends = np.concatenate([[0], np.cumsum(sizes)]).tolist()
        self.where = {name: slice(*ends) for name, ends in zip(space.domains, pairwise(ends), strict=True)}
        """The coordinates of each hyperparameter."""
        self.n_coordinates: int = sum(sizes)
        """The length of a point."""
        self.n_hyperparameters = sum(size > 0 for size in sizes)
        """The number of hyperparameters with more than one value."""
        self.choices = [
            where
            for name, where in self.where.items()
            if isinstance(space.domains[name], Categorical) and where.stop > where.start
        ]
        """The coordinates of each hyperparameter that is a choice."""

        self.low, self.high = np.zeros(self.n_coordinates), np.ones(self.n_coordinates)
        """The lowest and the highest position of a value on each coordinate, of shape (n_coordinates,) each."""
        for name, where in self.where.items():
            domain = space.domains[name]
            if where.stop > where.start and not isinstance(domain, Categorical):
                self.low[where], self.high[where] = position(domain, domain.low), position(domain, domain.high)

    def decode(self, point: FloatArray) -> Config:
        """The configuration at a point. It lies in the space, wherever the point lies in the unit cube."""

        return self._space.completed({}, lambda name: self.value(name, point))

    def value(self, name: str, point: FloatArray) -> Value:
        """The value of a hyperparameter at a point, also if it is not active there."""
        domain, coordinates = self._space.domains[name], point[self.where[name]]
        if not len(coordinates):
            return domain.value_at(0)
        if isinstance(domain, Categorical):
            return domain.value_at(int(np.argmax(np.clip(coordinates, 0.0, 1.0))))
        return value_at(domain, min(max(float(coordinates[0]), 0.0), 1.0))

    def encode(self, config: Config) -> FloatArray:
        """The point of a configuration, of shape (n_coordinates,). `decode` gives back its values."""
        point = np.empty(self.n_coordinates)
        for name, where in self.where.items():
            domain = self._space.domains[name]
            if where.stop == where.start:
                continue
            if name not in config:
                point[where] = _middle(domain)
            elif isinstance(domain, Categorical):
                point[where] = 0.0
                point[where.start + domain.index_of(config[name])] = CHOSEN
            else:
                point[where] = position(domain, config[name])
        return point

    def snap(self, points: FloatArray) -> FloatArray:
        """Move each point to that of the configuration at it. `points` has shape (n, n_coordinates)."""
        snapped = np.clip(points, 0.0, 1.0)
        chosen: dict[str, NDArray[np.intp]] = {}
        is_active: dict[str, BoolArray] = {}
        for name, where in self.where.items():
            domain = self._space.domains[name]
            is_active[name] = self._are_active(domain, len(points), chosen, is_active)
            if isinstance(domain, Categorical):
                chosen[name] = _chosen(snapped[:, where])
                snapped[:, where] = CHOSEN * (chosen[name][:, None] == np.arange(where.stop - where.start))
            elif where.stop > where.start:
                snapped[:, where] = _snapped(domain, snapped[:, where])
            snapped[~is_active[name], where] = _middle(domain)
        return snapped

    def movable(self, point: FloatArray) -> BoolArray:
        """Which coordinates of a point may be moved a little: those of the active ranges."""
        config = self.decode(point)
        is_movable = np.zeros(self.n_coordinates, bool)
        for name, where in self.where.items():
            is_movable[where] = name in config and not isinstance(self._space.domains[name], Categorical)
        return is_movable

    def active(self, points: FloatArray) -> dict[str, BoolArray]:
        """For each hyperparameter, at which of the points it is active. `points` has shape (n, n_coordinates)."""
        chosen: dict[str, NDArray[np.intp]] = {}
        is_active: dict[str, BoolArray] = {}
        for name, where in self.where.items():
            is_active[name] = self._are_active(self._space.domains[name], len(points), chosen, is_active)
            if isinstance(self._space.domains[name], Categorical):
                chosen[name] = _chosen(points[:, where])
        return is_active

    def _are_active(
        self, domain: Domain, n: int, chosen: dict[str, NDArray[np.intp]], is_active: dict[str, BoolArray]
    ) -> BoolArray:
        """For each of `n` points, whether a hyperparameter is active. Those before it are in `chosen`, `is_active`."""
        active = np.ones(n, bool)
        for parent, allowed in domain.when.items():
            choices = self._space.domains[parent].grid()
            fits = np.array([is_one_of(choice, allowed) for choice in choices])
            active &= is_active[parent] & fits[chosen[parent]]
        return active


def _n_coordinates(domain: Domain) -> int:
    if domain.n_values == 1:
        return 0
    return len(domain.choices) if isinstance(domain, Categorical) else 1


def _chosen(block: FloatArray) -> NDArray[np.intp]:
    """For each row of the coordinates of a choice, the position of the chosen one."""
    return np.argmax(block, axis=1) if block.shape[1] else np.zeros(len(block), np.intp)


def _middle(domain: Domain) -> float:
    """The coordinates of a hyperparameter that is not active."""
    return CHOSEN / len(domain.choices) if isinstance(domain, Categorical) else 0.5


def _snapped(domain: Float | Int, positions: FloatArray) -> FloatArray:
    """The positions of the values at `positions`: `position(value_at(...))` for whole arrays."""
    if domain.n_values == math.inf:
        return positions
    low, high = scale(domain)
    values = (1 - positions) * low + positions * high
    values = np.exp(values) if domain.log else values
    step = domain.step or 1
    values = domain.low + step * np.clip(np.rint((values - domain.low) / step), 0, int(domain.n_values) - 1)
    return ((np.log(values) if domain.log else values) - low) / (high - low)

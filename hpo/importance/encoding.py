"""Configurations as rows of numbers, and random configurations of a space, for a forest.

Ranges have the positions of `hpo.space.unit_interval`. Other than the points of `hpo.space.encoding`, which a Gaussian
process compares by their distances, a row tells a hyperparameter that is not active from all values.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hpo.space import Categorical, Domain, SearchSpace
from hpo.space.unit_interval import position
from hpo.space.values import is_one_of
from hpo.trial import Config, Value

Matrix = NDArray[np.float64]
INACTIVE = -1.0
"""The number of a hyperparameter that is not active. All others are at least 0."""
N_GRID = 12
"""The largest number of values of a range at which a partial dependence is computed."""


def coordinate(domain: Domain, value: Value) -> float:
    """A value as a number: the number of a choice in its list, or the position of a number in its range, 0 to 1."""
    if isinstance(domain, Categorical):
        return float(domain.index_of(value))
    return position(domain, value) if domain.low < domain.high else 0.0


def columns(space: SearchSpace) -> list[tuple[str, int | None]]:
    """The columns of a row: one for each hyperparameter, and one for each choice of a categorical one.

    Choices have no order, so each has a column of its own, which is 1 if it is taken.
    """
    found: list[tuple[str, int | None]] = []
    for name, domain in space.domains.items():
        found += [(name, i) for i in range(domain.n_values)] if isinstance(domain, Categorical) else [(name, None)]
    return found


def rows(space: SearchSpace, coordinates: Matrix) -> Matrix:
    """The rows (n, n_columns) of coordinates (n, n_hyperparameters), in which some are INACTIVE."""
    places = {name: i for i, name in enumerate(space.domains)}
    parts = []
    for name, choice in columns(space):
        values = coordinates[:, places[name]]
        parts.append(values if choice is None else np.where(values == INACTIVE, INACTIVE, values == choice))
    return np.stack(parts, axis=1).astype(float)


def encode(space: SearchSpace, configs: Sequence[Config]) -> Matrix:
    """The coordinates (n, n_hyperparameters) of configurations. Those that a configuration lacks are INACTIVE."""
    table = [
        [coordinate(domain, config[name]) if name in config else INACTIVE for name, domain in space.domains.items()]
        for config in configs
    ]
    return np.array(table, dtype=float).reshape(len(configs), len(space.domains))


def sample(space: SearchSpace, n: int, seed: int) -> Matrix:
    """The coordinates (n, n_hyperparameters) of random values of all hyperparameters, active or not."""
    rng = random.Random(seed)
    table = [[coordinate(domain, domain.sample(rng)) for domain in space.domains.values()] for _ in range(n)]
    return np.array(table, dtype=float).reshape(n, len(space.domains))


def deactivated(space: SearchSpace, coordinates: Matrix) -> Matrix:
    """The coordinates, with INACTIVE for each hyperparameter whose conditions are not met."""
    result = coordinates.copy()
    names = list(space.domains)
    for i, domain in enumerate(space.domains.values()):
        for parent, allowed in domain.when.items():
            j = names.index(parent)
            of_parent = space.domains[parent]
            assert isinstance(of_parent, Categorical)
            met = [k for k, choice in enumerate(of_parent.choices) if is_one_of(choice, allowed)]
            result[~np.isin(result[:, j], met), i] = INACTIVE
    return result


def grid(domain: Domain) -> tuple[list[Value], list[float]]:
    """The values at which a partial dependence is computed, and their coordinates.

    All choices of a list, or at most N_GRID values of a range.
    """
    given = domain if isinstance(domain, Categorical) else replace(domain, points=N_GRID)
    values = list(given.grid())
    return values, [coordinate(domain, value) for value in values]

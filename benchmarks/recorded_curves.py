"""Recorded learning curves: random configurations of real trainings, each trained to the last epoch, as small tables.

Each problem is two files in `benchmarks/curves/`: the space file `<name>.yaml`, and the table `<name>.csv` that
`benchmarks/record_curves.py` recorded from it. The columns of the table are `trial`, the hyperparameters and `epoch_1`,
`epoch_2`, ...: the objective after each epoch.

A search may suggest any configuration of the space. It gets the curve of the recorded configuration that is nearest,
as the Euclidean distance of both in the unit cube of the space: numbers on their scales, a distance of 1 between two
different choices, inactive hyperparameters in the middle. So two suggestions near to each other may get one curve.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from hpo import spacefile
from hpo.space import SearchSpace
from hpo.space.domains import Categorical, Domain
from hpo.space.values import comparison_key
from hpo.spacefile import yaml_text
from hpo.trial import Config, Value

FOLDER = Path(__file__).parent / "curves"


def names() -> list[str]:
    """The names of the recorded problems."""
    return sorted(path.stem for path in FOLDER.glob("*.csv"))


class RecordedCurves:
    """The problem of one table."""

    def __init__(self, name: str, folder: Path = FOLDER) -> None:
        self.name = name
        self.space = spacefile.read(folder / f"{name}.yaml")
        with (folder / f"{name}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        self.configs = [self._config(row) for row in rows]
        """The recorded configurations."""
        columns = [f"epoch_{epoch}" for epoch in range(1, self.space.fidelity.high + 1)]
        self.curves = np.array([[float(row[column] or "nan") for column in columns] for row in rows])
        """Their objectives, shape (configurations, epochs). The epochs after a trial diverged are NaN."""
        self._points = np.array([encoded(self.space, config) for config in self.configs])
        self._finals = np.where(np.isfinite(self.curves[:, -1]), self.curves[:, -1], np.nanmax(self.curves[:, -1]))
        self._nearest = lru_cache(maxsize=4096)(self._nearest_point)

    @property
    def best(self) -> float:
        """The lowest final value of the table."""
        return float(self._finals.min())

    @cached_property
    def median(self) -> float:
        """The median final value of the table."""
        return float(np.median(self._finals))

    def curve(self, config: Config, epoch: int) -> Mapping[str, float]:
        """The objective of the nearest recorded configuration after an epoch."""
        return {self.space.objective: float(self.curves[self.nearest(config), epoch - 1])}

    def final(self, config: Config) -> float:
        """The recorded objective after the last epoch. A diverged one is the worst of the table."""
        return float(self._finals[self.nearest(config)])

    def nearest(self, config: Config) -> int:
        """The position of the nearest recorded configuration. Of equally near ones it is the first."""
        return self._nearest(tuple(encoded(self.space, config)))

    def _nearest_point(self, point: tuple[float, ...]) -> int:
        return int(((self._points - np.array(point)) ** 2).sum(axis=1).argmin())

    def _config(self, row: Mapping[str, str]) -> dict[str, Value]:
        """The configuration of a row. Empty cells are those of inactive hyperparameters."""
        given = {name: yaml_text.parse_value(row[name]).value for name in self.space.domains if row[name]}
        return self.space.completed(given, lambda name: given[name])


def encoded(space: SearchSpace, config: Config) -> list[float]:
    """A configuration as a point. See the top of the file."""
    return [x for name, domain in space.domains.items() for x in _coordinates(domain, config.get(name), name in config)]


def _coordinates(domain: Domain, value: Value, is_active: bool) -> list[float]:
    if isinstance(domain, Categorical):
        one = math.sqrt(0.5)
        if not is_active:
            return [one / domain.n_values] * domain.n_values
        return [one * (comparison_key(choice) == comparison_key(value)) for choice in domain.choices]
    if not is_active or domain.low == domain.high:
        return [0.5]
    assert isinstance(value, int | float)
    if domain.log:
        return [math.log(value / domain.low) / math.log(domain.high / domain.low)]
    return [(value - domain.low) / (domain.high - domain.low)]

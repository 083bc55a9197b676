"""Recorded learning curves as a table, in a CSV file. A simulated trial gets the curve of the nearest configuration.

Each row is a configuration that was trained. The columns are the hyperparameters of the space, and `epoch_1`,
`epoch_2`, ...: the objective after each epoch. A column `seconds`, the time of one epoch, is optional; other columns
are ignored. The cell of a hyperparameter that is not active is empty. An empty objective is one that is not finite.

Near is the Euclidean distance in the encoding of the space (`Encoding`). Of equally near rows, the first one counts.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from hpo.errors import SpaceError, UserError, nearest
from hpo.space import SearchSpace
from hpo.space.encoding import Encoding
from hpo.space.given_values import with_defaults
from hpo.spacefile.table_cells import cell_value
from hpo.trial import Config, Value

SECONDS = "seconds"
"""The optional column with the seconds of one epoch."""


class CurveTable:
    """The learning curves of a table."""

    def __init__(self, path: Path, space: SearchSpace) -> None:
        """Read a table. Raises a UserError, with the line, if it does not fit the space."""
        self._path = path
        self._space = space
        lines = self._read()
        self._curves = np.array([self._curve(line, row) for line, row in lines])
        """The objectives, shape (rows, epochs)."""
        self._seconds = [self._row_seconds(line, row) for line, row in lines]
        self._encoding = Encoding(space)
        self._points = np.array([self._encoding.encode(self._config(line, row)) for line, row in lines])
        self._nearest = lru_cache(maxsize=4096)(self._nearest_row)

    def metrics(self, config: Config, epoch: int) -> Mapping[str, float]:
        """The objective of a configuration after an epoch."""
        return {self._space.metric: float(self._curves[self._nearest(_key(config)), epoch - 1])}

    def seconds(self, config: Config) -> float:
        """The seconds of an epoch of a configuration, 1 if the table does not say."""
        return self._seconds[self._nearest(_key(config))]

    def _nearest_row(self, key: tuple[tuple[str, Value], ...]) -> int:
        return int(((self._points - self._encoding.encode(dict(key))) ** 2).sum(axis=1).argmin())

    def _read(self) -> list[tuple[int, dict[str, str]]]:
        """The rows with their lines. All columns that are needed are there."""
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file, restval="")
                rows = [(reader.line_num, row) for row in reader]
                columns = list(reader.fieldnames or [])
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(
                f"curves {self._path}: cannot be read: {getattr(error, 'strerror', None) or error}"
            ) from None
        if not columns:
            raise UserError(f"curves {self._path}: the file is empty")
        for name in self._space.domains:
            if name not in columns:
                raise UserError(
                    f"curves {self._path}: no column {name}, a hyperparameter of the space{nearest(name, columns)}"
                )
        high = self._space.fidelity.high
        for epoch in range(1, high + 1):
            if f"epoch_{epoch}" not in columns:
                until = f"a trial trains for up to {high} epochs, and each needs a column epoch_1, epoch_2, ..."
                raise UserError(f"curves {self._path}: no column epoch_{epoch}; {until}")
        if not rows:
            raise UserError(f"curves {self._path}: has no row; each row is the learning curve of a configuration")
        return rows

    def _config(self, line: int, row: Mapping[str, str]) -> Config:
        domains = self._space.domains
        try:
            given = {name: cell_value(domains[name], row[name]) for name in domains if row[name]}
            config = with_defaults(self._space, given)
            problem = self._space.problem(config)
        except SpaceError as error:
            problem = str(error).partition("\n")[0]
        if problem is not None:
            raise UserError(f"curves {self._path}:{line}: {problem}")
        return config

    def _curve(self, line: int, row: Mapping[str, str]) -> list[float]:
        names = [f"epoch_{epoch}" for epoch in range(1, self._space.fidelity.high + 1)]
        return [self._number(line, name, row[name]) if row[name] else math.nan for name in names]

    def _row_seconds(self, line: int, row: Mapping[str, str]) -> float:
        if not row.get(SECONDS):
            return 1.0
        seconds = self._number(line, SECONDS, row[SECONDS])
        if not 0 <= seconds < math.inf:
            raise UserError(f"curves {self._path}:{line}: {SECONDS} must be a number of at least 0, but is {seconds}")
        return round(seconds, 6)  # as the record keeps it, so that a resumed search goes on at the same time

    def _number(self, line: int, name: str, text: str) -> float:
        try:
            return float(text)
        except ValueError:
            raise UserError(f"curves {self._path}:{line}: {name} must be a number, but is {text!r}") from None


def _key(config: Config) -> tuple[tuple[str, Value], ...]:
    return tuple(config.items())

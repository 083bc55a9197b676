"""The model of a search: the posterior of all trials' values, built from their rows with as little work as possible.

The kernel's parameters are fitted anew whenever the rows have grown by `GROWTH`, or have become too many. Then they are
thinned too. Such a moment is a `Snapshot`. Between two snapshots rows are only added, in blocks of a fixed size. So the
posterior depends, to the last digit, only on the trials and the snapshot, and not on what was computed before.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import numpy as np

from hpo.backends._freeze_thaw.fitting import fit
from hpo.backends._freeze_thaw.kernel import Parameters, Rows, parameters, prior
from hpo.backends._freeze_thaw.observations import Transform, thinned, times
from hpo.backends._freeze_thaw.posterior import Factor, Posterior, Trend, empty_factor
from hpo.backends._freeze_thaw.steps import late_epoch
from hpo.backends._freeze_thaw.trials import Row, Trials
from hpo.space.encoding import Encoding, FloatArray

GROWTH = 0.2
"""The parameters are fitted again after this share of further rows."""
MAX_ROWS = 700
"""The largest number of rows of the model, without those of running trials."""
N_KEPT = 500
"""The number of rows that are kept when there are more than `MAX_ROWS`."""
N_FITTED = 300
"""The number of rows to which the parameters are fitted."""
MAX_SCORED = 500
"""The largest number of trials whose deviations are computed: those with the lowest expected final values."""
BLOCK = 16
"""The number of rows that are added to the kept factor at once."""


class PriorMean(Protocol):
    """Finds the mean of the values before any observation, see `transfer.py`."""

    def trend(self, factor: Factor, values: FloatArray) -> Trend:
        """The prior mean, fitted to the rows of a factor with their `values`, of shape (n,)."""
        ...


class Snapshot(NamedTuple):
    """The moment of the last fit."""

    n_rows: int
    """The number of rows of the trials at that moment."""
    first_epoch: int
    """The first epoch that the model saw then."""


class Prediction(NamedTuple):
    """What the model says of a search at one moment. All values are transformed ones."""

    posterior: Posterior
    best: float
    """The value that is to be improved, see `_lowest`."""
    points: FloatArray
    """The points of all trials, of shape (m, d)."""
    means: FloatArray
    """The expected final value of each trial, of shape (m,)."""
    deviations: FloatArray
    """The deviation of each final value, of shape (m,). NaN beyond the `MAX_SCORED` trials with the lowest means."""


def due(trials: Trials, last: Snapshot | None, first_epoch: int) -> Snapshot:
    """The snapshot that the model of `trials` uses: `last`, or a new one if it is time for it.

    It is time if the rows have grown enough, or if the model sees other epochs than before.
    """
    n_rows = len(trials.rows)
    if last is not None and first_epoch == last.first_epoch and n_rows < last.n_rows * (1 + GROWTH):
        n_kept = last.n_rows if last.n_rows <= MAX_ROWS else N_KEPT
        if n_kept + n_rows - last.n_rows <= MAX_ROWS:
            return last
    return Snapshot(n_rows, first_epoch)


class Model:
    """The model of the trials of one search. What it keeps between calls saves work and changes no result."""

    def __init__(self, encoding: Encoding, high: int, source: PriorMean | None = None) -> None:
        """`high` is the last epoch. `source` is the model of an earlier study, None without one."""
        self._high = high
        self._source = source
        self._prior = prior(encoding.n_coordinates, encoding.n_hyperparameters)
        self._fitted: tuple[Snapshot, Parameters] | None = None
        self._grown: tuple[tuple[Snapshot, int], list[Row], Factor] | None = None
        """The snapshot and first epoch, the rows after thinning, and the factor of as many of them as it has."""

    def predict(self, trials: Trials, snapshot: Snapshot, first_epoch: int) -> Prediction | None:
        """The posterior of the values from `first_epoch` on. None if no such value is finite.

        Each running trial counts as if it had reached the last epoch with the value that is expected of it.
        """
        rows = self._rows(trials, snapshot, first_epoch)
        later = [row for row in trials.unfinished_rows() if row.epoch >= first_epoch]
        values = np.array([row.value for row in [*rows, *later]])
        lowest = _lowest(trials, first_epoch)
        if not np.isfinite(values).any() or lowest == math.inf:
            return None
        points, transform = trials.points(), Transform(values)
        factor = self._factor(trials, rows, points, snapshot, first_epoch)
        factor = self._extended(factor, [*rows[len(factor.inverse) :], *later], points)
        standard, running = transform(values), np.array(trials.running, np.intp)
        trend = None if self._source is None else self._source.trend(factor, standard)
        posterior = Posterior(factor, standard, trend)
        if len(running):
            expected = posterior.mean(points[running])
            factor = factor.extended(points, running, np.ones(len(running)))
            posterior = Posterior(factor, np.concatenate([standard, expected]), trend)
        best = float(transform(np.array([lowest]))[0])
        return Prediction(posterior, best, points, *_final_values(posterior, points))

    def _rows(self, trials: Trials, snapshot: Snapshot, first_epoch: int) -> list[Row]:
        """The rows from `first_epoch` on, those before the snapshot thinned."""
        before = self._thinned(trials, snapshot, first_epoch)
        return before + [row for row in trials.rows[snapshot.n_rows :] if row.epoch >= first_epoch]

    def _thinned(self, trials: Trials, snapshot: Snapshot, first_epoch: int) -> list[Row]:
        if self._grown is not None and self._grown[0] == (snapshot, first_epoch):
            return self._grown[1]
        before = [row for row in trials.rows[: snapshot.n_rows] if row.epoch >= first_epoch]
        return before if len(before) <= MAX_ROWS else thinned(before, N_KEPT)

    def _factor(
        self, trials: Trials, rows: list[Row], points: FloatArray, snapshot: Snapshot, first_epoch: int
    ) -> Factor:
        """The factor of the thinned rows and of all complete blocks of the rows after them."""
        key = snapshot, first_epoch
        if self._grown is None or self._grown[0] != key:
            before = self._thinned(trials, snapshot, first_epoch)
            empty = empty_factor(self._parameters(trials, snapshot), points[:0])
            self._grown = key, before, self._extended(empty, before, points)
        _, before, factor = self._grown
        while len(rows) - len(factor.inverse) >= BLOCK:
            factor = self._extended(factor, rows[len(factor.inverse) :][:BLOCK], points)
        self._grown = key, before, factor
        return factor

    def _extended(self, factor: Factor, rows: list[Row], points: FloatArray) -> Factor:
        """The factor with more rows. It gets no more points than needed, so that no digit depends on later trials."""
        if not rows:
            return factor
        numbers = np.array([row.trial for row in rows])
        n_points = max(len(factor.rows.points), int(numbers.max()) + 1)
        return factor.extended(points[:n_points], numbers, times([row.epoch for row in rows], self._high))

    def _parameters(self, trials: Trials, snapshot: Snapshot) -> Parameters:
        """The kernel's parameters, fitted to the rows of a snapshot."""
        if self._fitted is None or self._fitted[0] != snapshot:
            self._fitted = snapshot, self._fit(trials, snapshot)
        return self._fitted[1]

    def _fit(self, trials: Trials, snapshot: Snapshot) -> Parameters:
        rows = [row for row in trials.rows[: snapshot.n_rows] if row.epoch >= snapshot.first_epoch]
        rows = thinned(rows, N_FITTED)
        values = np.array([row.value for row in rows])
        if not np.isfinite(values).any():
            return parameters(self._prior.mean)
        numbers = np.array([row.trial for row in rows])
        points = trials.points()[: int(numbers.max()) + 1]
        observed = Rows(points, numbers, times([row.epoch for row in rows], self._high))
        return fit(self._prior, observed, Transform(values)(values))


def _final_values(posterior: Posterior, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The means and deviations of the final values, see `Prediction`."""
    if len(points) <= MAX_SCORED:
        return posterior.predict(points)
    means, deviations = posterior.mean(points), np.full(len(points), np.nan)
    lowest = np.argsort(means, kind="stable")[:MAX_SCORED]
    deviations[lowest] = posterior.predict(points[lowest])[1]
    return means, deviations


def _lowest(trials: Trials, first_epoch: int) -> float:
    """The lowest value that is to be improved, inf if none is finite.

    If early epochs are ignored, it is that of the late epochs, as soon as a trial has come so far: where values before
    them are lower than all final ones, no final value would be expected to improve on them.
    """
    counted = [row for row in trials.rows if row.epoch >= first_epoch and _counts(row, trials)]
    late = [row for row in counted if row.epoch >= late_epoch(trials)] if first_epoch else []
    return min((row.value for row in late or counted), default=math.inf)


def _counts(row: Row, trials: Trials) -> bool:
    """Whether the value of a row may be the result of the search."""
    return math.isfinite(row.value) and not trials[row.trial].has_crashed

"""The trials of a freeze-thaw search, and the rows that its model observes. All of it follows from the events alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from hpo.space.encoding import FloatArray
from hpo.space.objectives import ERRORS
from hpo.trial import Config, Report, valid_loss

EARLIER = "earlier study"
"""The reason of a trial whose configuration is one of the best of an earlier study."""


class Row(NamedTuple):
    """One observation: the value of a trial at an epoch. It may be infinite or NaN."""

    trial: int
    epoch: int
    value: float


@dataclass
class Trial:
    """One trial, with its values so far."""

    config: Config
    point: FloatArray
    """The configuration as a point of the unit cube."""
    values: dict[int, float] = field(default_factory=dict)
    """The objective at each reported epoch. It is the raw value, not the best so far, and may be infinite or NaN."""
    until: int | None = None
    """The epoch up to which the trial trains now. None if it does not train."""
    has_ended: bool = False
    """Whether the trial will never train again: it is complete, it ended itself, it diverged or it crashed."""
    has_crashed: bool = False
    stands: float | None = None
    """The loss of a trial that ended itself before the last epoch: it counts as its value at the last epoch."""
    in_early_phase: bool = False
    """Whether the last report is of a training phase before the last one, whose losses tell little of the last."""

    @property
    def epoch(self) -> int:
        """The last reported epoch, 0 without a report."""
        return next(reversed(self.values), 0)

    @property
    def is_paused(self) -> bool:
        return self.until is None and not self.has_ended


class Step(NamedTuple):
    """One suggestion: a step of the training of one trial."""

    trial: int
    start: int
    """The last epoch of the trial before the step."""
    until: int
    reason: str


class Trials:
    """All trials by number, with what was suggested and the rows that their reports gave."""

    def __init__(self, high: int, rungs: Sequence[int], objective: str) -> None:
        """`high` is the last epoch. At each of `rungs` a trial gives a row."""
        self.high = high
        self.rungs = tuple(rungs)
        self._observed = frozenset(rungs)
        self._objective = objective
        self._list: list[Trial] = []
        self.steps: list[Step] = []
        """All suggestions so far, in order."""
        self.rows: list[Row] = []
        """The rows in the order of the events. None is ever removed or changed."""
        self.spent = 0
        """The number of reported epochs."""
        self.have_phases = False
        """Whether any report was of a training phase before the last one."""

    def __len__(self) -> int:
        return len(self._list)

    def __getitem__(self, number: int) -> Trial:
        return self._list[number]

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._list)

    def points(self) -> FloatArray:
        """The points of all trials, of shape (m, d)."""
        return np.array([trial.point for trial in self._list])

    @property
    def paused(self) -> list[int]:
        """The numbers of the trials that may be continued."""
        return [number for number, trial in enumerate(self._list) if trial.is_paused]

    @property
    def running(self) -> list[int]:
        """The numbers of the trials that train."""
        return [number for number, trial in enumerate(self._list) if trial.until is not None]

    @property
    def of_source(self) -> set[int]:
        """The numbers of the trials whose configuration is one of the best of an earlier study."""
        return {step.trial for step in self.steps if step.reason == EARLIER}

    def spread(self, n: int) -> list[int]:
        """The numbers of the first `n` trials without those of an earlier study. Fewer if there are fewer."""
        of_source = self.of_source
        return [number for number in range(len(self)) if number not in of_source][:n]

    def add(self, config: Config, point: FloatArray) -> int:
        """Add a new trial, and return its number."""
        self._list.append(Trial(config, point))
        return len(self._list) - 1

    def start(self, number: int, until: int, reason: str) -> None:
        """Train a trial up to epoch `until`."""
        trial = self._list[number]
        trial.until = until
        self.steps.append(Step(number, trial.epoch, until, reason))

    def report(self, report: Report) -> None:
        """Add the report of an epoch. The trial ends or pauses if the report says so."""
        trial = self._list[report.trial]
        value = self._raw_value(report)
        trial.in_early_phase = report.metrics.get("phases_left", 0) > 0
        self.have_phases |= trial.in_early_phase
        trial.values[report.fidelity] = value
        self.spent += 1
        assert trial.until is not None
        is_over = report.last or report.fidelity >= trial.until
        if not trial.in_early_phase and (is_over or report.fidelity in self._observed):
            self.rows.append(Row(report.trial, report.fidelity, value))
        if not is_over:
            return
        trial.until = None
        trial.has_ended = report.last or report.fidelity >= self.high or not math.isfinite(value)
        if report.last and report.fidelity < self.high and math.isfinite(value) and math.isfinite(report.loss):
            trial.stands = report.loss
            self.rows.append(Row(report.trial, self.high, report.loss))

    def _raw_value(self, report: Report) -> float:
        """The objective of this epoch itself. The best so far if the metrics do not have it."""
        if (metric := ERRORS.get(self._objective)) in report.metrics:
            return 1 - report.metrics[str(metric)]
        return report.metrics.get(self._objective, report.loss)

    def crash(self, number: int) -> None:
        """End a trial by a crash, which counts as the worst value at the epoch after its last one."""
        trial = self._list[number]
        trial.until, trial.has_ended, trial.has_crashed = None, True, True
        self.rows.append(Row(number, min(trial.epoch + 1, self.high), math.nan))

    def unfinished_rows(self) -> list[Row]:
        """The last values of the trials that train, where they are no rows yet."""
        return [
            Row(number, trial.epoch, trial.values[trial.epoch])
            for number in self.running
            if (trial := self._list[number]).epoch and not trial.in_early_phase and trial.epoch not in self._observed
        ]

    def best(self, number: int, first: int = 0) -> float:
        """The lowest finite value of a trial from epoch `first` on, inf if there is none or if it crashed."""
        trial = self._list[number]
        if trial.has_crashed:
            return math.inf
        return min((valid_loss(value) for epoch, value in trial.values.items() if epoch >= first), default=math.inf)

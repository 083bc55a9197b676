"""The objective of all epochs of a study's trials as one value for each validation image.

The best epoch of a trial is chosen by the validation images, as the best trial is. So the choice is repeated among all
epochs of the trials (`hpo/statistics/selection.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpo.record import StudyFolder, Trial
from hpo.record.history import report_rank
from hpo.record.predictions import ValidationPredictions, read_epochs
from hpo.results.beyond_float16 import are_beyond, as_type, is_cut_off
from hpo.space.objectives import ERRORS
from hpo.statistics import TrialValues, per_image_of_results
from hpo.trial import Report

MAX_BYTES = 2**28
"""The largest size of the values of all epochs, and of those that break ties, so that commands answer soon.

A loss takes 2 bytes for an image and epoch, an error 3, and an error with folds 6. The epochs of the best trials are
read first. The others have only their best one.
"""
MAX_BYTES_OTHERS = 6 * 2**25
"""The same for an objective that is not a mean over the images, which takes longer."""
PLAIN = ("val_error", "val_loss")
TOLERANCE = 0.02
"""The largest difference between a recorded objective and that of the predictions, as a share of it.

Beyond it, the objective is another function than ours, such as a loss with weights for the classes.
"""
N_CHANGED_IMAGES = 2
"""The number of images whose class the rounding of the predictions may change: the tolerance of shares, at least."""
LOSS_TOLERANCE = 1e-4
"""The tolerance of losses, at least: the rounding of the predictions."""


class Epochs(NamedTuple):
    """What the best epoch of the best trial is chosen from."""

    values: TrialValues
    """A row for each epoch that may be chosen, in the order of the trials' numbers. Its `trials` are these numbers."""
    best: int
    """The row of the best epoch of the best trial that has values."""
    n_complete: int
    """The number of trials of which all epochs have a row. The others have only that of the best epoch."""


class _Rows(NamedTuple):
    """Rows of the table of all epochs, to be filled."""

    values: NDArray[np.generic]
    """(n_rows, n_images)"""
    losses: NDArray[np.generic] | None
    """(n_rows, n_images). None if the objective is the loss."""

    def part(self, start: int, end: int) -> _Rows:
        """Return some of the rows. What is written to them is written to these."""
        return _Rows(self.values[start:end], None if self.losses is None else self.losses[start:end])

    def fill(self, row: int, values: NDArray[np.floating], losses: NDArray[np.floating] | None) -> None:
        """Write one row. `losses` are ignored if the objective is the loss."""
        self.values[row] = as_type(values, self.values.dtype.type)
        if self.losses is not None and losses is not None:
            self.losses[row] = as_type(losses, np.float16)


def agree(values: NDArray[np.floating], recorded: float, objective: str) -> bool:
    """Whether the mean of the values of the images is the recorded objective, up to the rounding of predictions."""
    least = N_CHANGED_IMAGES / len(values) if objective in ERRORS else LOSS_TOLERANCE
    return abs(recorded - float(values.mean(dtype=np.float64))) <= max(TOLERANCE * abs(recorded), least)


def read_all(
    study: StudyFolder,
    of_trials: Mapping[int, NDArray[np.float32]],
    losses: Mapping[int, NDArray[np.float32]] | None,
    kept: ValidationPredictions,
    trials: Sequence[Trial],
) -> Epochs:
    """Read the epochs of `trials`, best first. `of_trials` and `losses` are the values of each at its best epoch."""
    objective = study.space.objective
    kind = _type(objective, kept.folds)
    if kind is np.float16 and are_beyond(of_trials[trials[0].number]):
        kind = np.float32  # all trials diverged: what float16 holds of them would not show which is the best
    candidates = {trial.number: list(_candidates(trial)) for trial in trials}
    row = _empty(objective, kind, (1, len(kept.labels)))
    whole = _affordable(objective, candidates, row)
    n_rows = sum(len(each) if number in whole else 1 for number, each in candidates.items())
    table = _empty(objective, kind, (n_rows, len(kept.labels)))
    numbers: list[int] = []
    best, n_complete = 0, 0
    for trial in sorted(trials, key=lambda each: each.number):
        number, reports = trial.number, candidates[trial.number]
        start, best_row = len(numbers), 0
        if number in whole and _read(study, trial, reports, kept, table.part(start, start + len(reports))):
            assert trial.best is not None, "the trial has values"
            best_row = [report.fidelity for report in reports].index(trial.best.fidelity)
            numbers += [number] * len(reports)
            n_complete += 1
        else:
            table.fill(start, of_trials[number], None if losses is None else losses[number])
            numbers.append(number)
            n_complete += len(reports) == 1
        if number == trials[0].number:
            best = start + best_row
    values, ties = table.part(0, len(numbers))  # fewer than planned if some could not be read
    return Epochs(TrialValues(values, ties, np.array(numbers), kept.groups), best, n_complete)


def _affordable(objective: str, candidates: Mapping[int, Sequence[Report]], row: _Rows) -> set[int]:
    """The numbers of the trials of which all epochs are to be read: the best ones, as many as the limit allows.

    `row` is one row of the table.
    """
    left, whole = MAX_BYTES if objective in PLAIN else MAX_BYTES_OTHERS, set()
    n_bytes = row.values.nbytes + (0 if row.losses is None else row.losses.nbytes)
    for number, reports in candidates.items():
        is_whole = len(reports) > 1 and len(reports) * n_bytes <= left
        left -= n_bytes * (len(reports) if is_whole else 1)
        if is_whole:
            whole.add(number)
    return whole


def _empty(objective: str, kind: type[np.generic], shape: tuple[int, int]) -> _Rows:
    """Rows without content. `kind` is the type of the values, `shape` (n_rows, n_images)."""
    return _Rows(np.empty(shape, kind), np.empty(shape, np.float16) if objective != "val_loss" else None)


def _candidates(trial: Trial) -> Iterator[Report]:
    """The reports of the epochs that may be the best one: those of the last phase with a finite objective."""
    assert trial.best is not None, "the trial has values"
    phase = trial.best.metrics.get("phases_left")
    for report in trial.reports:
        is_finite = report_rank(trial.objective, report)[0] < float("inf")
        if is_finite and report.metrics.get("phases_left") == phase:
            yield report


def _read(
    study: StudyFolder, trial: Trial, candidates: Sequence[Report], kept: ValidationPredictions, rows: _Rows
) -> bool:
    """Read the epochs of a trial into `rows`. False if some were not kept, or do not give the recorded objective.

    Losses beyond float16 were cut off. If the rows are float16, such an epoch is so much worse than the best one that
    what is left of them suffices.
    """
    objective, records = study.space.objective, read_epochs(study, trial, kept)
    for row, report in enumerate(candidates):
        record = records.get(report.fidelity)
        if record is None:
            return False
        predicted = record.predicted.astype(np.int64)
        found = per_image_of_results(objective, record.losses, predicted, kept.labels, kept.folds)
        if found is None:
            return False
        recorded = report_rank(objective, report)[0]
        if not agree(found, recorded, objective):
            is_float16 = rows.values.dtype == np.float16
            if not is_float16 or not is_cut_off(record.losses, float(found.mean()), recorded):
                return False
        # The losses count by fold, as those of a trial of which only the best epoch was kept.
        losses = per_image_of_results("val_loss", record.losses, predicted, kept.labels, kept.folds)
        rows.fill(row, found, losses)
    return True


def _type(objective: str, folds: NDArray[np.int64]) -> type[np.generic]:
    """The smallest type that holds the values: there are many of them."""
    if objective == "val_error" and not folds.any():
        return np.bool_
    return np.float16 if objective == "val_loss" else np.float32

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
from hpo.space.objectives import ERRORS
from hpo.statistics import TrialValues, per_image_of_results
from hpo.trial import Report

MAX_VALUES = 2**27
"""The largest number of values of all epochs: images times epochs. It takes about two seconds.

The epochs of the best trials are read first. The others have only their best one.
"""
MAX_VALUES_OTHERS = 2**25
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
    """The epochs of a trial."""

    values: NDArray[np.generic]
    """(n_epochs, n_images)"""
    losses: NDArray[np.generic] | None
    """(n_epochs, n_images). None if the objective is no error."""
    best: int
    """The row of the best epoch."""
    is_complete: bool


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
    rows: dict[int, _Rows] = {}
    left = MAX_VALUES if objective in PLAIN else MAX_VALUES_OTHERS
    for trial in trials:
        candidates = list(_candidates(trial))
        n_values = len(candidates) * len(kept.labels)
        found = _rows(study, trial, candidates, kept) if len(candidates) > 1 and n_values <= left else None
        if found is None:
            only = None if losses is None else losses[trial.number][None].astype(np.float16)
            of_best = of_trials[trial.number][None].astype(_type(objective, kept.folds))
            found = _Rows(of_best, only, 0, len(candidates) == 1)
        left -= found.values.size
        rows[trial.number] = found
    order = sorted(rows)
    numbers = np.repeat(order, [len(rows[number].values) for number in order])
    values = np.concatenate([rows[number].values for number in order])
    ties = [each for number in order if (each := rows[number].losses) is not None]
    return Epochs(
        TrialValues(values, np.concatenate(ties) if ties else None, numbers),
        int(np.searchsorted(numbers, trials[0].number)) + rows[trials[0].number].best,
        sum(each.is_complete for each in rows.values()),
    )


def _candidates(trial: Trial) -> Iterator[Report]:
    """The reports of the epochs that may be the best one: those of the last phase with a finite objective."""
    assert trial.best is not None, "the trial has values"
    phase = trial.best.metrics.get("phases_left")
    for report in trial.reports:
        is_finite = report_rank(trial.objective, report)[0] < float("inf")
        if is_finite and report.metrics.get("phases_left") == phase:
            yield report


def _rows(study: StudyFolder, trial: Trial, candidates: Sequence[Report], kept: ValidationPredictions) -> _Rows | None:
    """The values of the epochs of a trial. None if some were not kept, or do not give the recorded objective."""
    objective, records = study.space.objective, read_epochs(study, trial, kept)
    values: list[NDArray[np.generic]] = []
    for report in candidates:
        record = records.get(report.fidelity)
        if record is None:
            return None
        predicted = record.predicted.astype(np.int64)
        found = per_image_of_results(objective, record.losses, predicted, kept.labels, kept.folds)
        if found is None or not agree(found, report_rank(objective, report)[0], objective):
            return None
        values.append(found.astype(_type(objective, kept.folds)))
    assert trial.best is not None, "the trial has values"
    epochs = [report.fidelity for report in candidates]
    losses = np.stack([records[epoch].losses for epoch in epochs]) if objective in ERRORS else None
    return _Rows(np.stack(values), losses, epochs.index(trial.best.fidelity), True)


def _type(objective: str, folds: NDArray[np.int64]) -> type[np.bool_] | type[np.float16] | type[np.float32]:
    """The smallest type that holds the values: there are many of them."""
    if objective == "val_error" and not folds.any():
        return np.bool_
    return np.float16 if objective == "val_loss" else np.float32

"""The test result of each class: precision, recall and F1, over the seeds of a trial. They stand in `per_class.csv`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hpo.heldout import confusion
from hpo.heldout.confusion import ConfusionMatrix, ModelKey
from hpo.heldout.record import TestRecord
from hpo.heldout.trial_result import Spread
from hpo.record import PER_CLASS_FILE, StudyFolder, write_csv
from trainables.errors import printable

METRICS = ("precision", "recall", "f1")
COLUMNS = ("trial", "seeds", "class", "support", *(f"{name}{end}" for name in METRICS for end in ("", "_std")))
N_WORST = 3
"""The number of classes that the result of a test names."""


@dataclass(frozen=True)
class ClassResult:
    """The results of one trial for one class. The metrics are NaN if the class has no held-out image."""

    name: str
    support: int
    """The number of held-out images of the class."""
    precision: Spread
    """The share of the images assigned to the class that are of the class. 0 if no image was assigned to it."""
    recall: Spread
    """The share of the images of the class that were recognised."""
    f1: Spread
    """The harmonic mean of precision and recall."""


def results(matrices: Sequence[ConfusionMatrix]) -> list[ClassResult]:
    """Return the result of each class, in the order of the classes. There is one matrix for each seed."""
    names = matrices[0].classes
    counts = np.stack([matrix.counts for matrix in matrices]).astype(float)
    correct = np.diagonal(counts, axis1=1, axis2=2)
    true, predicted = counts.sum(axis=2), counts.sum(axis=1)
    precision = correct / np.maximum(predicted, 1)
    with np.errstate(invalid="ignore"):
        recall, f1 = correct / true, 2 * correct / (true + predicted)
    precision, f1 = (np.where(true > 0, values, math.nan) for values in (precision, f1))
    return [
        ClassResult(name, int(true[0, i]), *(Spread.of(values[:, i].tolist()) for values in (precision, recall, f1)))
        for i, name in enumerate(names)
    ]


def worst(results: Sequence[ClassResult]) -> list[ClassResult]:
    """Return the classes with the lowest recall, the lowest first. Classes without an image are left out."""
    known = [each for each in results if each.recall.is_finite]
    return sorted(known, key=lambda each: (each.recall.mean, each.f1.mean))[:N_WORST]


def of_trial(matrices: Mapping[ModelKey, ConfusionMatrix], trial: int) -> list[ConfusionMatrix]:
    """Return the matrices of a trial, sorted by their seeds."""
    return [matrices[model] for model in sorted(matrices) if model[0] == trial]


def write(study: StudyFolder, record: TestRecord, matrices: Mapping[ModelKey, ConfusionMatrix]) -> None:
    """Write `confusion.csv` and `per_class.csv`, the best trial first. Matrices of no tested model are left out.

    Without any matrix, both files are removed. Raises MachineError if one cannot be written.
    """
    tested = {(each.trial, seed) for each in record.trials for seed in each.seeds}
    matrices = {model: matrix for model, matrix in matrices.items() if model in tested}
    confusion.write(study, matrices)
    path = study.folder / PER_CLASS_FILE
    if not matrices:
        path.unlink(missing_ok=True)
        return
    rows: list[tuple[object, ...]] = []
    for trial in record.ranked():
        if those := of_trial(matrices, trial.trial):
            rows += [(trial.trial, len(those), *_cells(each)) for each in results(those)]
    write_csv(path, COLUMNS, rows)


def _cells(result: ClassResult) -> list[object]:
    """The cells of a class in `per_class.csv`. An empty cell means that there is no value."""
    spreads = [getattr(result, name) for name in METRICS]
    values = [value for spread in spreads for value in (spread.mean if spread.is_finite else None, spread.std)]
    return [printable(result.name), result.support, *values]

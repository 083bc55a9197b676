"""The confusion matrix of each tested model. They are stored in `confusion.csv`, one row for each cell."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.errors import StudyError
from hpo.record import CONFUSION_FILE, StudyFolder, write_csv
from trainables.errors import printable

COLUMNS = ("trial", "seed", "true", "predicted", "images")
ModelKey = tuple[int, int]
"""The number of a trial and a seed: they identify a tested model."""


@dataclass(frozen=True, eq=False)
class ConfusionMatrix:
    """How many held-out images of each class one model assigned to each class."""

    classes: tuple[str, ...]
    counts: NDArray[Any]
    """int64, (n_classes, n_classes): the rows are the true classes, the columns the predicted ones."""


def read(study: StudyFolder) -> dict[ModelKey, ConfusionMatrix]:
    """Read the confusion matrices of the tested models. There are none without a test.

    Raises StudyError if the file is damaged.
    """
    path = study.folder / CONFUSION_FILE
    cells: dict[ModelKey, dict[tuple[str, str], int]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            if tuple(next(rows, ())) != COLUMNS:
                raise ValueError(f"its columns must be {', '.join(COLUMNS)}")
            for number, seed, true, predicted, images in rows:
                cells.setdefault((int(number), int(seed)), {})[true, predicted] = int(images)
        matrices = {model: _matrix(of_model) for model, of_model in cells.items()}
        _check_classes(matrices)
        return matrices
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise StudyError(
            f"{path}: is damaged, or was written by another version: {error}; if it is removed, "
            "the results per class of the tested trials are lost"
        ) from None


def _check_classes(matrices: Mapping[ModelKey, ConfusionMatrix]) -> None:
    """Raise ValueError if the matrices of a trial have different classes."""
    first: dict[int, ConfusionMatrix] = {}
    for (trial, seed), matrix in matrices.items():
        if matrix.classes != first.setdefault(trial, matrix).classes:
            raise ValueError(f"trial {trial} has other classes for seed {seed} than for its first seed")


def _matrix(cells: Mapping[tuple[str, str], int]) -> ConfusionMatrix:
    """The matrix of cells that are sorted by their true class. A KeyError if a predicted class is no true class."""
    classes = list(dict.fromkeys(true for true, _ in cells))
    index = {name: i for i, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), np.int64)
    for (true, predicted), images in cells.items():
        counts[index[true], index[predicted]] = images
    return ConfusionMatrix(tuple(classes), counts)


def write(study: StudyFolder, matrices: Mapping[ModelKey, ConfusionMatrix]) -> None:
    """Write `confusion.csv`. Without any matrix, the file is removed. Raises MachineError if it cannot be written.

    Cells without an image are left out, except those of the correct predictions. So each class has a row, and the
    order of the classes is kept.
    """
    path = study.folder / CONFUSION_FILE
    if not matrices:
        path.unlink(missing_ok=True)
        return
    rows: list[tuple[object, ...]] = []
    for (trial, seed), matrix in sorted(matrices.items()):
        names = [printable(name) for name in matrix.classes]
        shown = (matrix.counts > 0) | np.eye(len(names), dtype=bool)
        for i, j in np.argwhere(shown).tolist():
            rows.append((trial, seed, names[i], names[j], int(matrix.counts[i, j])))
    write_csv(path, COLUMNS, rows)

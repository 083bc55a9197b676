"""What a report shows of a study: its record, its test results, and the importance of its hyperparameters."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo.errors import StudyError
from hpo.heldout import TestRecord, TrialResult, confusion, misclassified, per_class
from hpo.heldout.confusion import ConfusionMatrix
from hpo.heldout.misclassified import Misclassified
from hpo.importance import Importance, analyse
from hpo.record import History, StudyFolder, is_locked
from hpo.results.best_so_far import BestSoFar


@dataclass(frozen=True)
class Content:
    """All that a report shows of one study. Nothing in it changes while the page is made."""

    study: StudyFolder
    history: History
    finished: str | None
    """Why the search ended. None if it has not."""
    searching: bool
    """Whether a process searches or tests the study now."""
    seconds: float
    """The wall time of the search, or its simulated time."""
    best_so_far: BestSoFar
    test: TestRecord
    matrices: tuple[int, list[ConfusionMatrix]] | None
    """The best tested trial that has results per class, and its confusion matrices. None if there is none."""
    mistakes: Misclassified | None
    """Images that the best tested trial misclassifies. None if none are stored."""
    importance: Importance
    data: Mapping[str, Any] | None
    """The record of the data, as `StudyFolder.data_record`. None without a data set, and if it is missing."""

    @property
    def is_simulated(self) -> bool:
        """Whether the learning curves were known, and nothing was trained."""
        return self.study.settings.curves is not None

    @property
    def tested(self) -> TrialResult | None:
        """The test result of the best tested trial, None without a test."""
        return next(iter(self.test.ranked()), None)


def gather(folder: Path) -> Content:
    """Read a study. Raises a StudyError if the folder contains no study, or its record is missing or damaged.

    Raises a UserError if scikit-learn is not installed. Results that are stored beside the record may be missing.
    """
    study = StudyFolder.reopen(folder)
    with contextlib.closing(study.ledger(write=False)) as ledger:
        history, finished, times, seconds = ledger.history, ledger.finished, ledger.times, ledger.recorded
    test = TestRecord.read(study)
    data = mistakes = None
    with contextlib.suppress(StudyError):
        data = study.data_record()
    with contextlib.suppress(StudyError):
        mistakes = misclassified.read(study)
    return Content(
        study=study,
        history=history,
        finished=finished,
        searching=is_locked(folder),
        seconds=seconds,
        best_so_far=BestSoFar(history, times),
        test=test,
        matrices=_matrices(study, test),
        mistakes=mistakes,
        importance=analyse(study.space, history),
        data=data,
    )


def _matrices(study: StudyFolder, test: TestRecord) -> tuple[int, list[ConfusionMatrix]] | None:
    matrices = confusion.read(study)
    for tested in test.ranked():
        if found := per_class.of_trial(matrices, tested.trial):
            return tested.trial, found
    return None

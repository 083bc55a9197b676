"""What a report shows of a study: its record, its test results, and the importance of its hyperparameters."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpo.errors import StudyError
from hpo.heldout import Soup, TestRecord, TrialResult, confusion, misclassified, per_class, soup_record
from hpo.heldout.confusion import ConfusionMatrix
from hpo.heldout.misclassified import Misclassified
from hpo.importance import Importance, analyse
from hpo.record import History, StudyFolder, is_locked, predictions
from hpo.results.best_so_far import BestSoFar
from hpo.results.confidence import Confidence
from hpo.results.confidence_cache import cached_confidence
from hpo.results.study_comparison import SearchedStudy


@dataclass(frozen=True)
class Content:
    """All that a report shows of one study. Nothing in it changes while the page is made."""

    study: StudyFolder
    searched: SearchedStudy
    """The study as it is compared with others."""
    history: History
    finished: str | None
    """Why the search ended. None if it has not."""
    searching: bool
    """Whether a process searches or tests the study now."""
    seconds: float
    """The wall time of the search, or its simulated time."""
    test: TestRecord
    matrices: tuple[int, list[ConfusionMatrix]] | None
    """The best tested trial that has results per class, and its confusion matrices. None if there is none."""
    validation_matrix: tuple[int, ConfusionMatrix] | None
    """The best trial and its confusion matrix on the validation images, from the predictions that were kept.

    None if `matrices` are there, or if there are no predictions.
    """
    mistakes: Misclassified | None
    """Images that the best tested trial misclassifies. None if none are stored."""
    soup: Soup | None
    """The average of the weights of some trials, finished or begun. None if there is none."""
    importance: Importance
    confidence: Confidence | None
    """How sure the result is. None if it is not known."""
    unsure_because: str | None
    """Why it is not known how sure the result is. None if it is known."""
    data: Mapping[str, Any] | None
    """The record of the data, as `StudyFolder.data_record`. None without a data set, and if it is missing."""

    @property
    def is_simulated(self) -> bool:
        """Whether the learning curves were known, and nothing was trained."""
        return self.study.settings.curves is not None

    @property
    def tested(self) -> TrialResult | None:
        """The test result of the best tested trial, None without a test."""
        return self.searched.tested


def gather(folder: Path) -> Content:
    """Read a study. Raises a StudyError if the folder contains no study, or its record is missing or damaged.

    Raises a UserError if scikit-learn is not installed. Results that are stored beside the record may be missing.
    """
    study = StudyFolder.reopen(folder)
    with contextlib.closing(study.ledger(write=False)) as ledger:
        history, finished, times, seconds = ledger.history, ledger.finished, ledger.times, ledger.recorded
    test = TestRecord.read(study)
    data = mistakes = soup = None
    with contextlib.suppress(StudyError):
        data = study.data_record()
    with contextlib.suppress(StudyError):
        mistakes = misclassified.read(study)
    with contextlib.suppress(StudyError):
        soup = soup_record.read(study)
    matrices = _matrices(study, test)
    sure, unsure_because = cached_confidence(study, history)
    searched = SearchedStudy(study, history, BestSoFar(history, times), seconds, next(iter(test.ranked()), None))
    return Content(
        study=study,
        searched=searched,
        history=history,
        finished=finished,
        searching=is_locked(folder),
        seconds=seconds,
        test=test,
        matrices=matrices,
        validation_matrix=_validation_matrix(study, history, data) if matrices is None else None,
        mistakes=mistakes,
        soup=soup,
        importance=analyse(study.space, history),
        confidence=sure,
        unsure_because=unsure_because or None,
        data=data,
    )


def _validation_matrix(
    study: StudyFolder, history: History, data: Mapping[str, Any] | None
) -> tuple[int, ConfusionMatrix] | None:
    """The confusion matrix of the best trial of the search, from its kept validation predictions."""
    best = history.incumbent
    found = None if best is None else predictions.read(study, [best])
    if best is None or found is None or best.number not in found.logits:
        return None
    n_classes = found.logits[best.number].shape[1]
    named = data["dataset"]["classes"] if data and data["dataset"] else []
    classes = tuple(map(str, named if len(named) == n_classes else range(n_classes)))
    counts = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(counts, (found.labels, found.logits[best.number].argmax(axis=1)), 1)
    return best.number, ConfusionMatrix(classes, counts)


def _matrices(study: StudyFolder, test: TestRecord) -> tuple[int, list[ConfusionMatrix]] | None:
    matrices = confusion.read(study)
    for tested in test.ranked():
        if found := per_class.of_trial(matrices, tested.trial):
            return tested.trial, found
    return None

"""Tests of reading the validation predictions of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.record import Budget, Settings, StudyFolder, Trial
from hpo.record.predictions import ValidationPredictions, read
from hpo.training.prediction_files import targets_digest
from hpo.trial import Crash, Report
from tests import toy

LABELS = np.array([0, 2, 1, 2])
FOLDS = np.array([0, 0, 1, 1])
LOGITS = np.array([[0, -1, -2], [-3, -1, 0], [0, -1, -1], [-65504, -1e-7, 0]], np.float16)


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    """A study whose predictions have labels, and no trial."""
    study = StudyFolder(tmp_path / "s", toy.space(), Settings(), Budget())
    study.predictions.mkdir(parents=True)
    np.savez(study.predictions / "targets.npz", labels=LABELS, folds=FOLDS)
    return study


def trial(number: int, losses: list[float], *, crash: Crash | None = None) -> Trial:
    reports = [Report(number, i, min(losses[:i]), {"val_loss": losses[i - 1]}, 0.1) for i in range(1, len(losses) + 1)]
    return Trial(number, {}, 9, 0, {}, reports, crash)


def found(study: StudyFolder, *trials: Trial) -> ValidationPredictions:
    predictions = read(study, trials)
    assert predictions is not None
    return predictions


def test_the_predictions_of_the_best_epoch_are_read(study: StudyFolder) -> None:
    np.savez_compressed(study.predictions / "0.npz", epoch=2, logits=LOGITS)
    np.savez(study.predictions / "3.npz", epoch=1, logits=LOGITS + 1, targets=targets_digest(LABELS, FOLDS))
    predictions = found(study, trial(0, [0.3, 0.2, 0.4]), trial(3, [0.5]))
    assert list(predictions.logits) == [0, 3]
    assert (predictions.logits[0] == LOGITS).all()
    assert predictions.logits[0].dtype == np.float16
    assert predictions.labels.tolist() == LABELS.tolist()
    assert predictions.folds.tolist() == FOLDS.tolist()


def test_only_the_trials_that_are_asked_for_are_read(study: StudyFolder) -> None:
    for number in range(3):
        np.savez(study.predictions / f"{number}.npz", epoch=1, logits=LOGITS)
    assert list(found(study, trial(1, [0.3])).logits) == [1]


def test_a_trial_whose_newest_file_is_ahead_of_the_record_has_the_predictions_of_the_best_before(
    study: StudyFolder,
) -> None:
    np.savez(study.predictions / "0.npz", epoch=3, logits=LOGITS)
    np.savez(study.predictions / "0.previous.npz", epoch=2, logits=LOGITS + 1)
    predictions = found(study, trial(0, [0.3, 0.2]))
    assert (predictions.logits[0] == LOGITS + 1).all()
    assert (found(study, trial(0, [0.3, 0.2, 0.1])).logits[0] == LOGITS).all()
    assert not found(study, trial(0, [0.3])).logits
    (study.predictions / "0.npz").write_bytes(b"half")
    assert (found(study, trial(0, [0.3, 0.2])).logits[0] == LOGITS + 1).all()


@pytest.mark.parametrize("epoch", [1, 3])
def test_predictions_of_another_epoch_than_the_best_are_left_out(study: StudyFolder, epoch: int) -> None:
    np.savez(study.predictions / "0.npz", epoch=epoch, logits=LOGITS)
    assert not found(study, trial(0, [0.3, 0.2, 0.4])).logits


def test_a_trial_without_reports_or_predictions_and_one_that_crashed_are_left_out(study: StudyFolder) -> None:
    np.savez(study.predictions / "2.npz", epoch=1, logits=LOGITS)
    crashed = trial(2, [0.3], crash=Crash(2, "ValueError", "broken"))
    assert not found(study, trial(0, []), trial(1, [0.3]), crashed).logits


def test_a_study_without_predictions_gives_none(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path / "s", toy.space(), Settings(), Budget())
    assert read(study, [trial(0, [0.3])]) is None


@pytest.mark.parametrize(
    "targets",
    [{"labels": LABELS}, {"labels": LABELS, "folds": FOLDS[1:]}, {"labels": LABELS / 2, "folds": FOLDS}, {}],
    ids=["no folds", "too few folds", "labels that are no integers", "empty"],
)
def test_damaged_labels_give_none(study: StudyFolder, targets: dict[str, Any]) -> None:
    np.savez(study.predictions / "targets.npz", **targets)
    assert read(study, [trial(0, [0.3])]) is None
    (study.predictions / "targets.npz").write_bytes(b"PK no zip")
    assert read(study, [trial(0, [0.3])]) is None


@pytest.mark.parametrize(
    "arrays",
    [
        {"epoch": 1},
        {"logits": LOGITS},
        {"epoch": 1, "logits": LOGITS.astype(np.float32)},
        {"epoch": 1, "logits": LOGITS[1:]},
        {"epoch": 1, "logits": LOGITS[:, :2]},
        {"epoch": 1, "logits": LOGITS[0]},
        {"epoch": 1.0, "logits": LOGITS},
        {"epoch": [1], "logits": LOGITS},
        {"epoch": 1, "logits": np.where(LOGITS == 0, np.float16(np.nan), LOGITS)},
        {"epoch": 1, "logits": LOGITS, "targets": 12345},
        {"epoch": 1, "logits": np.array([{}], object)},
    ],
    ids=str,
)
def test_a_foreign_file_is_left_out(study: StudyFolder, arrays: dict[str, Any]) -> None:
    np.savez(study.predictions / "0.npz", **arrays)
    np.savez(study.predictions / "1.npz", epoch=1, logits=LOGITS)
    assert list(found(study, trial(0, [0.3]), trial(1, [0.3])).logits) == [1]


def test_a_damaged_file_is_left_out(study: StudyFolder) -> None:
    path = study.predictions / "0.npz"
    np.savez_compressed(path, epoch=1, logits=LOGITS)
    whole = path.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2], whole[:120] + b"\xff" * 20 + whole[140:]):
        path.write_bytes(content)
        assert not found(study, trial(0, [0.3])).logits
    path.unlink()
    path.mkdir()
    assert not found(study, trial(0, [0.3])).logits

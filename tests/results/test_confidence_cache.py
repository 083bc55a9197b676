from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from hpo.record import CONFIDENCE_FILE, StudyFolder
from hpo.results.confidence import confidence
from hpo.results.confidence_cache import cached_confidence
from hpo.trial import Report, Suggestion
from tests.results.kept_predictions import kept_study


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    """A study whose confidence is kept, with 9.0 as the recorded value of the best trial in the file."""
    study = kept_study(tmp_path / "s", [1.5] * 8, 60, folds=3)
    known, reason = cached_confidence(study, study.history()[0], min_seconds=0)
    assert (known, reason) == confidence(study, study.history()[0])
    path = study.folder / CONFIDENCE_FILE
    content = json.loads(path.read_text())
    content["confidence"]["recorded"] = 9.0
    path.write_text(json.dumps(content))
    return study


def recorded(study: StudyFolder) -> float:
    known, _ = cached_confidence(study, study.history()[0], min_seconds=0)
    assert known is not None
    return known.recorded


def test_a_kept_confidence_is_the_computed_one_in_every_field(tmp_path: Path) -> None:
    for name, skills, objective in (("a", [1.5] * 8, "val_error"), ("b", [3.0], "val_loss")):
        study = kept_study(tmp_path / name, skills, 60, folds=2, objective=objective)
        history = study.history()[0]
        cached_confidence(study, history, min_seconds=0)
        assert (study.folder / CONFIDENCE_FILE).exists()
        known, _ = cached_confidence(study, history, min_seconds=0)
        assert known == confidence(study, history)[0]
        assert known is not None
        assert known.best_interval is not None
        assert known.intervals[known.best].low < known.best_interval.high


def test_the_file_is_read_while_nothing_changes(study: StudyFolder) -> None:
    assert recorded(study) == 9.0


def test_it_is_computed_again_when_predictions_change(study: StudyFolder) -> None:
    os.utime(study.predictions / "3.npz", ns=(0, 0))
    assert recorded(study) < 1


def test_it_is_computed_again_when_the_record_grows(study: StudyFolder) -> None:
    ledger = study.ledger(write=True)
    ledger.suggest(Suggestion(8, {"lr": 0.5}, 9))
    ledger.record(Report(8, 1, 0.9, {"val_error": 0.9}, 1.0))
    ledger.close()
    assert recorded(study) < 1


def test_a_damaged_file_is_computed_again(study: StudyFolder) -> None:
    path = study.folder / CONFIDENCE_FILE
    content = json.loads(path.read_text())
    for damaged in ("{", "[]", json.dumps(content | {"confidence": {"unknown": 1}}), "null"):
        path.write_text(damaged)
        assert recorded(study) < 1


def test_a_confidence_that_is_computed_at_once_is_not_kept(tmp_path: Path) -> None:
    study = kept_study(tmp_path / "s", [1.0], 8)
    cached_confidence(study, study.history()[0])
    assert not (study.folder / CONFIDENCE_FILE).exists()


def test_it_is_computed_again_when_the_code_of_the_objective_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module, code = (
        tmp_path / "cached_objective.py",
        "def cost(logits, labels):\n    return (logits.argmax(1) != labels)",
    )
    module.write_text(f"{code}.double().mean()\n")
    study = kept_study(tmp_path / "s", [1.5] * 3, 40, objective="cached_objective:cost")
    assert recorded(study) < 1
    assert cached_confidence(study, study.history()[0])[1] == ""
    module.write_text(f"{code}.double().mean() * 2  # costs more\n")
    del sys.modules["cached_objective"]
    known, reason = cached_confidence(study, study.history()[0])
    assert known is None
    assert "was begun with other code of its objective" in reason
    del sys.modules["cached_objective"]

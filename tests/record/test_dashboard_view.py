"""What the dashboard is given: one study, with the numbers of hpo and attributes that a person can read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import optuna
import pytest
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from hpo.errors import UserError
from hpo.record import Budget, Settings, StudyFolder
from hpo.record.dashboard_view import open_view
from hpo.trial import Crash, Decision, Report, Suggestion
from tests import toy


def begin(folder: Path, url: str | None) -> StudyFolder:
    """A study whose trial 0 was paused when the study was closed, and went on when it was opened again."""
    folder.mkdir()
    study = StudyFolder(folder, toy.space(), Settings(runner="inline", storage=url), Budget())
    ledger = study.begin()
    for number in range(2):
        ledger.suggest(Suggestion(number, {"kind": "b", "x": 0.25}, 1))
        report = Report(number, 1, 0.5 - number / 10, {"val_loss": 0.5 - number / 10}, 1.0)
        ledger.record(report)
        ledger.settle(report, {number: Decision.PAUSE})
    ledger.close_unfinished("the budget is spent")
    ledger.close()
    ledger = study.ledger(write=True)
    ledger.reopen(study.folder)
    ledger.suggest(Suggestion(0, {"kind": "b", "x": 0.25}, 9))
    report = Report(0, 2, 0.25, {"val_loss": 0.25}, 2.0, last=True, device="cuda:1")
    ledger.record(report)
    ledger.settle(report, {})
    ledger.suggest(Suggestion(2, {"kind": "b", "x": 0.5}, 9))
    ledger.record(Crash(2, "ValueError", "no\nTraceback"))
    ledger.settle(Crash(2, "ValueError", "no\nTraceback"), {2: Decision.STOP})
    ledger.close()
    return study


@pytest.fixture(params=["journal", "sqlite"])
def study(request: pytest.FixtureRequest, tmp_path: Path) -> StudyFolder:
    """The study, in each kind of storage. A database has another study before it."""
    url = f"sqlite:///{tmp_path / 'study.db'}" if request.param == "sqlite" else None
    if url is not None:
        begin(tmp_path / "another", url)
    return begin(tmp_path / "s", url)


def test_a_trial_that_went_on_after_a_resume_is_one_trial_under_its_number(study: StudyFolder) -> None:
    view = open_view(study)
    trials = view.get_all_trials(view.study_id)
    assert [(trial.number, trial.state) for trial in trials] == [
        (0, TrialState.COMPLETE),
        (1, TrialState.PRUNED),
        (2, TrialState.FAIL),
    ]
    assert trials[0].intermediate_values == {1: 0.5, 2: 0.25}
    assert view.get_n_trials(view.study_id) == 3
    assert view.get_best_trial(view.study_id).number == 0
    assert view.get_trial(view.get_trial_id_from_study_id_trial_number(view.study_id, 1)).number == 1
    with pytest.raises(KeyError, match="no trial 7"):
        view.get_trial(7)


def test_the_attributes_are_values_under_the_names_of_the_tables(study: StudyFolder) -> None:
    view = open_view(study)
    first, second, third = (trial.user_attrs for trial in view.get_all_trials(view.study_id))
    shown = {"state": "complete", "epochs": 2, "stopping_epoch": 2, "val_loss": 0.25, "seconds": 3.0}
    assert first == {**shown, "device": "cuda:1", "bracket": 0}
    assert second["state"] == "paused"
    assert third == {"state": "crashed", "epochs": 0, "bracket": 0, "error": "ValueError: no"}


def test_a_view_is_a_storage_with_this_study_alone_that_cannot_be_written(study: StudyFolder) -> None:
    view = open_view(study)
    assert isinstance(view, BaseStorage)
    assert [each.study_name for each in view.get_all_studies()] == ["s"]
    assert view.get_all_studies()[0].user_attrs == {}
    assert len(optuna.load_study(study_name="s", storage=view).trials) == 3
    writes: list[Callable[[], object]] = [
        partial(view.delete_study, view.study_id),
        partial(view.set_trial_user_attr, 0, "key", "value"),
        partial(view.create_new_trial, view.study_id),
    ]
    for write in writes:
        with pytest.raises(UserError, match="nothing in it can be changed or deleted"):
            write()

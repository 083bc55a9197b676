"""A storage that other programs get: they read the record, and cannot change it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from hpo.errors import UserError
from hpo.record import Budget, Settings, StudyFolder, open_storage
from hpo.record.storage import ReadOnlyStorage
from hpo.trial import Report, Suggestion
from tests import toy

WRITES: dict[str, tuple[Any, ...]] = {
    "create_new_study": ([StudyDirection.MINIMIZE], "x"),
    "delete_study": (0,),
    "set_study_user_attr": (0, "a", 1),
    "set_study_system_attr": (0, "a", 1),
    "create_new_trial": (0,),
    "set_trial_param": (0, "x", 0.5, optuna.distributions.FloatDistribution(0, 1)),
    "set_trial_state_values": (0, TrialState.FAIL),
    "set_trial_intermediate_value": (0, 1, 0.5),
    "set_trial_user_attr": (0, "a", 1),
    "set_trial_system_attr": (0, "a", 1),
}


@pytest.fixture(params=["journal", "sqlite"])
def study(request: pytest.FixtureRequest, tmp_path: Path) -> StudyFolder:
    """A study with one trial, in each kind of storage."""
    url = f"sqlite:///{tmp_path / 'study.db'}" if request.param == "sqlite" else None
    (tmp_path / "s").mkdir()
    study = StudyFolder(tmp_path / "s", toy.space(), Settings(runner="inline", storage=url), Budget())
    ledger = study.begin()
    ledger.suggest(Suggestion(0, {"kind": "b", "x": 0.25}, 9))
    ledger.record(Report(0, 1, 0.5, {"val_loss": 0.5}, 1.0))
    ledger.close()
    return study


def test_a_read_only_storage_is_a_storage_that_shows_the_trials(study: StudyFolder) -> None:
    storage = ReadOnlyStorage(open_storage(study.storage_location, write=False)[0])
    assert isinstance(storage, BaseStorage)
    loaded = optuna.load_study(study_name="s", storage=storage)
    assert [trial.params["x"] for trial in loaded.get_trials()] == [0.25]


def test_a_read_only_storage_refuses_whatever_writes(study: StudyFolder) -> None:
    storage: Any = ReadOnlyStorage(open_storage(study.storage_location, write=False)[0])
    unnamed = BaseStorage.__abstractmethods__ - set(WRITES)
    assert all(name.startswith("get_") for name in unnamed)
    for name, arguments in WRITES.items():
        with pytest.raises(UserError, match="nothing in it can be changed or deleted"):
            getattr(storage, name)(*arguments)
    with pytest.raises(UserError, match="nothing in it can be changed"):
        storage.get_all_trials = None
    history, _ = study.history()
    assert list(history.trials) == [0]


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write everywhere")
def test_a_read_only_storage_needs_no_right_to_write(study: StudyFolder) -> None:
    for path in study.folder.iterdir():
        path.chmod(0o444)
    study.folder.chmod(0o555)
    try:
        assert len(ReadOnlyStorage(open_storage(study.storage_location, write=False)[0]).get_all_studies()) == 1
    finally:
        study.folder.chmod(0o755)

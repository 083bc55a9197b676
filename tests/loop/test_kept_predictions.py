"""Predictions of a study, from the search to its deletion."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner

from hpo.cli.app import app
from hpo.errors import UserError
from hpo.loop import Session, begin, resume
from hpo.record import Budget, Settings, StudyFolder
from hpo.record.deletion import delete_if_empty
from hpo.record.predictions import read
from hpo.space import DatasetSpec, Fidelity, SearchSpace, Task
from hpo.space.domains import Float
from tests.loop.searching import INLINE, KillAfter, history
from tests.training.kept_predictions import expected
from trainables.data.dataset import SearchData

TASK = Task("from_scratch", "softmax_regression", dataset=DatasetSpec("digits"))
SPACE = SearchSpace("digits", {"lr": Float(1e-4, 1.0, log=True)}, Fidelity(9), TASK, {"batch_size": 256})
SETTINGS = replace(INLINE, backend="asha")
BUDGET = Budget(trials=6)


def predictions(folder: Path) -> dict[str, bytes]:
    """The files of the predictions of a study."""
    paths = (folder / "predictions").iterdir() if (folder / "predictions").exists() else ()
    return {path.name: path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that was searched without a break."""
    folder = tmp_path_factory.mktemp("searched") / "s"
    begin(folder, SPACE, SETTINGS, BUDGET)
    return folder


def test_each_trial_keeps_the_predictions_of_its_best_epoch_on_record(searched: Path) -> None:
    found, trials = read(StudyFolder.reopen(searched), history(searched).trials.values()), history(searched).trials
    assert found is not None
    assert sorted(found.logits) == sorted(trials) == list(range(6))
    assert len({trial.epoch for trial in trials.values()}) > 1  # some were stopped early
    for number, logits in found.logits.items():
        best = trials[number].best
        assert best is not None
        accuracy = float((logits.argmax(axis=1) == found.labels).mean())
        assert accuracy == expected(best.metrics)["accuracy"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a fork")
def test_killed_and_resumed_a_search_keeps_the_same_bytes(searched: Path, tmp_path: Path) -> None:
    statuses = []
    for n_events in (5, 9, 13, 100):
        pid = os.fork()
        if pid == 0:
            try:
                if (tmp_path / "s" / "study.yaml").exists():
                    resume(tmp_path / "s", session=Session(watch=KillAfter(n_events)))
                else:
                    begin(tmp_path / "s", SPACE, SETTINGS, BUDGET, session=Session(watch=KillAfter(n_events)))
            finally:
                os._exit(0)
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    assert statuses[:2] == [-9, -9]
    assert statuses[-1] == 0
    assert predictions(tmp_path / "s") == predictions(searched)


def test_without_predictions_nothing_is_written_now_or_after_a_resume(tmp_path: Path) -> None:
    begin(tmp_path / "s", SPACE, replace(SETTINGS, predictions=False), Budget(trials=1))
    resume(tmp_path / "s", Budget(trials=2))
    assert predictions(tmp_path / "s") == {}
    study = StudyFolder.reopen(tmp_path / "s")
    assert not study.settings.predictions
    assert read(study, history(tmp_path / "s").trials.values()) is None
    resume(tmp_path / "s", Budget(trials=3), settings={"predictions": True})
    assert sorted(predictions(tmp_path / "s")) == ["2.epochs", "2.npz", "targets.npz"]
    assert StudyFolder.reopen(tmp_path / "s").settings.predictions


def test_the_command_line_switches_them_off_and_on(tmp_path: Path) -> None:
    words = ["--space", "digits_softmax", "--set", "fidelity.high=1", "--backend", "random", "--study", "s"]
    commands = [
        ["search", *words, "--runner", "inline", "--trials", "1", "--no-predictions"],
        ["resume", "s", "--trials", "2"],
        ["resume", "s", "--trials", "3", "--predictions"],
        ["resume", "s", "--trials", "4"],
    ]
    kept = []
    for command in commands:
        result = CliRunner().invoke(app, [*command, "--studies", str(tmp_path)])
        assert result.exit_code == 0, result.output
        kept.append(sorted(predictions(tmp_path / "s")))
    of_2 = ["2.epochs", "2.npz"]
    assert kept == [[], [], [*of_2, "targets.npz"], [*of_2, "3.epochs", "3.npz", "targets.npz"]]


def test_a_study_of_an_earlier_version_keeps_predictions_from_now_on(tmp_path: Path) -> None:
    begin(tmp_path / "s", SPACE, replace(SETTINGS, predictions=False), Budget(trials=1))
    path = tmp_path / "s" / "study.yaml"
    content = yaml.safe_load(path.read_text())
    del content["settings"]["predictions"]
    path.write_text(yaml.safe_dump(content))
    resume(tmp_path / "s", Budget(trials=2))
    found = read(StudyFolder.reopen(tmp_path / "s"), history(tmp_path / "s").trials.values())
    assert found is not None
    assert list(found.logits) == [1]


def test_what_a_killed_search_left_is_put_in_order(tmp_path: Path) -> None:
    begin(tmp_path / "s", SPACE, SETTINGS, Budget(trials=2))
    study = StudyFolder.reopen(tmp_path / "s")
    study.ledger(write=True).close()
    whole = predictions(tmp_path / "s")
    (study.predictions / "0.npz").rename(study.predictions / ".0.npz.tmp")
    (study.predictions / ".targets.npz.12.tmp").write_bytes(b"hal")
    resume(tmp_path / "s", Budget(trials=2))
    assert predictions(tmp_path / "s") == whole


class CrashesLater:
    """Training code of the user, which offers logits and crashes in its second epoch."""

    def __init__(self, config: Mapping[str, Any], model: object, data: SearchData, device: str) -> None:
        self.validation_logits = torch.zeros(len(data.validation), len(data.classes))
        self._epoch = 0

    def step(self) -> Mapping[str, float]:
        self._epoch += 1
        if self._epoch == 2:
            raise ValueError("broken")
        return {"val_loss": 1.0}

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self._epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._epoch = state["epoch"]


def test_a_trial_that_crashes_loses_its_predictions_also_if_the_search_is_killed_before(tmp_path: Path) -> None:
    space = replace(SPACE, task=Task(None, None, dataset=DatasetSpec("digits")))
    begin(tmp_path / "s", space, SETTINGS, Budget(trials=1), session=Session(CrashesLater))
    assert history(tmp_path / "s").trials[0].crash is not None
    assert list(predictions(tmp_path / "s")) == ["targets.npz"]
    (tmp_path / "s" / "predictions" / "0.npz").write_bytes(b"those of its first epoch")
    resume(tmp_path / "s", Budget(seconds=0), session=Session(CrashesLater))
    assert list(predictions(tmp_path / "s")) == ["targets.npz"]


class KilledAhead:
    """Training code of the user, killed in epoch 2 when its predictions are written, and not its checkpoint."""

    def __init__(self, config: Mapping[str, Any], model: object, data: SearchData, device: str) -> None:
        self.validation_logits = torch.zeros(len(data.validation), len(data.classes))
        self._epoch = 0

    def step(self) -> Mapping[str, float]:
        self._epoch += 1
        return {"val_loss": 1.0 / self._epoch}

    def state_dict(self) -> dict[str, Any]:
        if self._epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"epoch": self._epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._epoch = state["epoch"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a fork")
def test_a_trial_that_was_killed_ahead_of_its_record_has_the_predictions_of_its_best_epoch(tmp_path: Path) -> None:
    space = replace(SPACE, task=Task(None, None, dataset=DatasetSpec("digits")))
    for command in (begin, None, None):  # killed again and again at the same epoch
        pid = os.fork()
        if pid == 0:
            try:
                if command is None:
                    resume(tmp_path / "s", session=Session(KilledAhead))
                else:
                    command(tmp_path / "s", space, SETTINGS, Budget(trials=1), session=Session(KilledAhead))
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        trials = history(tmp_path / "s").trials
        assert trials[0].epoch == 1
        found = read(StudyFolder.reopen(tmp_path / "s"), trials.values())
        assert found is not None
        assert list(found.logits) == [0]


def test_a_new_study_in_the_same_folder_and_a_deleted_one_lose_them(searched: Path, tmp_path: Path) -> None:
    study = StudyFolder(tmp_path / "s", SPACE, SETTINGS, BUDGET)
    study.predictions.mkdir(parents=True)
    (study.predictions / "0.npz").write_bytes(b"of an earlier study")
    study.begin(None).close()
    assert predictions(tmp_path / "s") == {}
    study.predictions.mkdir()
    delete_if_empty(study)
    assert not study.predictions.exists()


@pytest.mark.parametrize("value", [1, "no", None])
def test_the_setting_is_true_or_false(value: object) -> None:
    with pytest.raises(UserError, match="predictions must be True or False, but is"):
        Settings(predictions=value)  # type: ignore[arg-type]

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import UserError
from hpo.heldout import evaluate
from hpo.loop import begin, resume
from hpo.record import Budget, StudyFolder
from tests import toy
from tests.loop.searching import INLINE, history

RANDOM = replace(INLINE, backend="random")


def losses(folder: Path) -> dict[int, list[float]]:
    return {trial.number: [report.loss for report in trial.reports] for trial in history(folder).trials.values()}


def test_another_runner_goes_on_with_the_same_trials(tmp_path: Path) -> None:
    begin(tmp_path / "whole", toy.space(high=3), RANDOM, Budget(trials=5))
    begin(tmp_path / "s", toy.space(high=3), RANDOM, Budget(epochs=4))
    resume(tmp_path / "s", Budget(trials=3), settings={"runner": "processes", "slots": 1})
    resume(tmp_path / "s", Budget(trials=5), settings={"runner": "inline"})
    assert losses(tmp_path / "s") == losses(tmp_path / "whole")
    assert StudyFolder.reopen(tmp_path / "s").settings.runner == "inline"


def test_a_study_of_a_machine_with_a_gpu_goes_on_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    begin(tmp_path / "s", toy.space(high=3), RANDOM, Budget(trials=1))
    study = StudyFolder.reopen(tmp_path / "s")
    study.settings = replace(study.settings, devices="cuda:0")
    study.save()
    for call in (resume, evaluate):
        with pytest.raises(UserError, match=r"no 'cuda:0'; `hpo resume s .*--devices cpu.* goes on with the CPU"):
            call(tmp_path / "s")
    resume(tmp_path / "s", Budget(trials=2), settings={"devices": "cpu"})
    resume(tmp_path / "s", Budget(trials=3))
    assert len(history(tmp_path / "s").trials) == 3


def test_a_record_that_was_moved_is_found_by_its_new_url(tmp_path: Path) -> None:
    begin(tmp_path / "s", toy.space(high=3), replace(RANDOM, storage=f"sqlite:///{tmp_path}/a.db"), Budget(trials=1))
    os.rename(tmp_path / "a.db", tmp_path / "b.db")
    begin(tmp_path / "t", toy.space(high=4), replace(RANDOM, storage=f"sqlite:///{tmp_path}/c.db"), Budget(trials=1))
    with pytest.raises(UserError, match="holds no study 's'"):
        resume(tmp_path / "s", settings={"storage": f"sqlite:///{tmp_path}/c.db"})
    resume(tmp_path / "s", Budget(trials=2), settings={"storage": f"sqlite:///{tmp_path}/b.db"})
    resume(tmp_path / "s", Budget(trials=3))
    assert len(history(tmp_path / "s").trials) == 3


def test_a_folder_and_its_record_that_are_copied_together_are_another_study(tmp_path: Path) -> None:
    begin(tmp_path / "s", toy.space(high=3), replace(RANDOM, storage=f"sqlite:///{tmp_path}/a.db"), Budget(trials=1))
    shutil.copytree(tmp_path / "s", tmp_path / "t")
    shutil.copy(tmp_path / "a.db", tmp_path / "b.db")
    resume(tmp_path / "t", Budget(trials=2), settings={"storage": f"sqlite:///{tmp_path}/b.db"})
    assert [len(history(tmp_path / name).trials) for name in ("s", "t")] == [1, 2]


def test_paths_of_a_study_that_begins_or_goes_on_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    changes: dict[str, Any] = {"data": "there", "storage": "sqlite:///s.db"}
    begin(tmp_path / "s", toy.space(high=3), replace(RANDOM, data="here", storage="sqlite:///s.db"), Budget(trials=1))
    assert StudyFolder.reopen(tmp_path / "s").settings.data == str(tmp_path / "here")
    resume(tmp_path / "s", settings=changes)
    settings = StudyFolder.reopen(tmp_path / "s").settings
    assert (settings.data, settings.storage) == (str(tmp_path / "there"), f"sqlite:///{tmp_path}/s.db")

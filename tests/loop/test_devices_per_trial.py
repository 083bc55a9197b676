from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo import spacefile
from hpo.errors import UserError
from hpo.loop import Session, begin, changed_settings, resume
from hpo.record import Budget, Settings, StudyFolder, check_devices
from hpo.space import SearchSpace
from tests import toy
from tests.loop.searching import history

SETTINGS = Settings("random", devices="cpu", slots=1, devices_per_trial=2)


def space(regime: str = "from_scratch", **task: Any) -> SearchSpace:
    return spacefile.parse(
        {
            "task": {"regime": regime, "model": "small_cnn", "dataset": "digits", **task},
            "space": {"lr": {"low": 1e-3, "high": 1e-2, "log": True}},
            "fidelity": {"high": 2 if regime == "from_scratch" else 20},
        },
        name="digits",
    )


def refused(tmp_path: Path, message: str, searched: SearchSpace, settings: Settings, trainable: Any = None) -> None:
    with pytest.raises(UserError, match=message):
        begin(tmp_path / "s", searched, settings, Budget(trials=1), session=Session(trainable))
    assert not (tmp_path / "s").exists()


def test_a_regime_that_trains_on_one_device_is_an_error_that_names_the_others(tmp_path: Path) -> None:
    allowed = "bitfit, fine_tune, from_scratch, lora"
    message = rf"^devices_per_trial 2: the regime contrastive trains on one device \(allowed: {allowed}\)$"
    refused(tmp_path, message, space("contrastive"), SETTINGS)


def test_so_is_a_regime_that_is_searched(tmp_path: Path) -> None:
    searched = space(["fine_tune", "contrastive"], weights="none")  # type: ignore[arg-type]
    refused(tmp_path, "the regime contrastive trains on one device", searched, SETTINGS)


def test_so_are_a_runner_and_training_code(tmp_path: Path) -> None:
    inline = Settings("random", runner="inline", devices_per_trial=2)
    refused(tmp_path, r"the runner inline trains a trial on one device \(allowed: .*processes", space(), inline)
    refused(tmp_path, "training code of your own", toy.space(), SETTINGS, toy.build)


@pytest.mark.parametrize("number", [0, 1.5, True])
def test_a_number_of_devices_that_is_none_is_an_error(number: Any) -> None:
    with pytest.raises(UserError, match="devices_per_trial must be"):
        Settings(devices_per_trial=number)


def test_only_a_runner_that_is_told_so_gets_the_options_that_not_all_take() -> None:
    assert Settings().runner_arguments == {}
    both = Settings(report_timeout=1.0, devices_per_trial=2)
    assert both.runner_arguments == {"report_timeout": 1.0, "devices_per_trial": 2}


def test_a_machine_with_fewer_gpus_goes_on_with_another_number_and_tests_on_one_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.devices.visible_gpus", lambda: ["0"])
    study = StudyFolder(tmp_path / "s", space(), SETTINGS, Budget(trials=1))
    study.settings = replace(SETTINGS, devices="auto")
    check_devices(study.settings, study.folder)  # as `hpo test` does
    message = r"devices_per_trial 2: `devices auto` gives 1 GPU \(allowed: 1 to 1\)"
    with pytest.raises(UserError, match=message):
        changed_settings(study, {}, None)
    assert changed_settings(study, {"devices_per_trial": 1}, None).devices_per_trial == 1
    assert changed_settings(study, {"devices": "cpu"}, None).devices_per_trial == 2


@pytest.mark.slow
def test_a_search_on_two_processes_a_trial_goes_on_with_one(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    begin(folder, space(), SETTINGS, Budget(epochs=1))
    study = StudyFolder.reopen(folder)
    assert (study.settings.devices_per_trial, study.settings.runner) == (2, "processes")
    resume(folder, Budget(epochs=2), settings={"devices_per_trial": 1, "runner": "inline"})
    assert StudyFolder.reopen(folder).settings.devices_per_trial == 1
    (trial,) = history(folder).trials.values()
    assert [report.fidelity for report in trial.reports] == [1, 2]

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from hpo.loop import begin, resume
from hpo.record import Budget, Settings, State, StudyFolder
from tests import toy
from tests.loop.searching import check_sound, history


class SecondEpochHangs(toy.Curve):
    """Its second epoch does not end, unless $HPO_TOY_LOG.mended exists."""

    def step(self) -> Mapping[str, float]:
        metrics = super().step()
        if self.epoch == 2 and not Path(f"{self.config['log']}.mended").exists():
            while True:
                time.sleep(0.1)
        return metrics


@pytest.mark.parametrize("runner", ["inline", "processes", "fused"])
def test_a_budget_of_time_ends_an_epoch_that_never_returns(tmp_path: Path, runner: str) -> None:
    settings = Settings("random", runner=runner, devices="cpu", slots=1)
    space = toy.space(high=3, log=str(tmp_path / "log"))
    reason = begin(tmp_path / "s", space, settings, Budget(seconds=0.2), trainable=SecondEpochHangs)
    assert reason == "the budget of 0.2 seconds is spent"
    assert history(tmp_path / "s").trials[0].state is State.RUNNING
    (tmp_path / "log.mended").touch()
    resume(tmp_path / "s", Budget(trials=1), trainable=SecondEpochHangs)
    check_sound(history(tmp_path / "s"))
    assert history(tmp_path / "s").trials[0].state is State.COMPLETE


def test_a_budget_of_time_ends_a_search_in_a_thread_too(tmp_path: Path) -> None:
    settings = Settings("random", runner="processes", devices="cpu", slots=1)
    space, reasons = toy.space(high=3, log=str(tmp_path / "log")), []

    def search() -> None:
        reasons.append(begin(tmp_path / "s", space, settings, Budget(seconds=0.1), trainable=SecondEpochHangs))

    thread = threading.Thread(target=search)
    thread.start()
    thread.join()
    assert reasons == ["the budget of 0.1 seconds is spent"]


def test_an_epoch_that_ends_in_the_grace_is_recorded(tmp_path: Path) -> None:
    settings = Settings("random", runner="inline", devices="cpu")
    begin(tmp_path / "s", toy.space(sleep=0.5), settings, Budget(seconds=0.1))
    assert history(tmp_path / "s").n_epochs == 1


@pytest.mark.parametrize("runner", ["inline", "processes", "fused"])
def test_a_trial_without_a_report_for_too_long_crashes_and_the_search_goes_on(tmp_path: Path, runner: str) -> None:
    space = toy.space(high=3, log=str(tmp_path / "log"))
    settings = Settings("random", runner=runner, devices="cpu", slots=2, report_timeout=60.0)
    begin(tmp_path / "s", space, settings, Budget(epochs=1), trainable=SecondEpochHangs)
    resume(tmp_path / "s", Budget(trials=2), trainable=SecondEpochHangs, settings={"report_timeout": 2})
    trials = history(tmp_path / "s").trials
    assert [trial.state for trial in trials.values()] == [State.CRASHED, State.CRASHED]
    crashes = {
        (trial.crash.kind, trial.crash.error.partition(" after ")[0]) for trial in trials.values() if trial.crash
    }
    assert crashes == {("Hung", "it sent no report for 2 seconds")}
    assert StudyFolder.reopen(tmp_path / "s").settings.report_timeout == 2

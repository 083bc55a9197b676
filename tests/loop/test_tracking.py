"""The trackers of a search: they begin and end with it, whatever ends it."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.loop import Session, begin, resume
from hpo.record import Budget, StudyFolder
from tests import toy
from tests.loop.searching import INLINE, history

KIND = "tests.trackers.file_tracker"


def threads() -> list[str]:
    """The names of the threads of trackers."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("tracker ")]


def test_an_error_while_trackers_start_closes_those_that_have_started(tmp_path: Path) -> None:
    def notify(text: str) -> None:
        if text.startswith("tracker tensorboard"):
            raise RuntimeError("the terminal is gone")

    settings = replace(INLINE, track=(f"{KIND}={tmp_path}", "tensorboard"))
    with pytest.raises(RuntimeError, match="the terminal is gone"):
        begin(tmp_path / "s", toy.space(), settings, Budget(trials=2), session=Session(notify=notify))
    assert threads() == []


@pytest.mark.slow
def test_the_place_of_a_tracker_is_told_and_a_renamed_study_stays_in_it(tmp_path: Path) -> None:
    told: list[str] = []
    settings = replace(INLINE, track=(f"tensorboard={tmp_path / 'runs'}",))
    begin(tmp_path / "s", toy.space(), settings, Budget(trials=1), session=Session(notify=told.append))
    assert f"tracker tensorboard: the trials are sent to {tmp_path / 'runs'}" in told
    (tmp_path / "s").rename(tmp_path / "t")
    resume(tmp_path / "t", Budget(trials=2))
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["s"]
    assert {path.name for path in (tmp_path / "runs" / "s").iterdir()} == {"trial 0", "trial 1"}


def test_a_study_that_goes_on_may_stop_to_be_tracked(tmp_path: Path) -> None:
    (tmp_path / "fail").touch()
    told: list[str] = []
    settings = replace(INLINE, track=(f"{KIND}={tmp_path}",))
    begin(tmp_path / "s", toy.space(), settings, Budget(trials=1), session=Session(notify=told.append))
    (line,) = [line for line in told if "no space left" in line]
    assert "hpo resume s --track none" in line
    told.clear()
    resume(tmp_path / "s", Budget(trials=2), session=Session(notify=told.append), settings={"track": ["none"]})
    assert StudyFolder.reopen(tmp_path / "s").settings.track == ()
    assert not any("tracker" in line for line in told)
    assert len(history(tmp_path / "s").trials) == 2

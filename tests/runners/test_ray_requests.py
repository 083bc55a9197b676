"""The requests to the process that is connected to a cluster, and their answers. No cluster is needed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from hpo.errors import UserError
from hpo.runners._ray_process import Open, SeparateRay
from hpo.trial import Crash, Decision, Report, Suggestion
from tests.runners.driving import suggestion
from tests.runners.workers import wait_for

pytestmark = pytest.mark.slow


class Answering:
    """A runner in the other process. `events` waits for the file `go`, then says which trials were started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def free(self) -> int:
        return 1

    def start(self, suggestion: Suggestion, *, after: int) -> None:
        if suggestion.trial == 7:
            raise UserError("trial 7 is refused")
        (self._folder / f"{suggestion.trial}.started").touch()

    def events(self) -> list[Report | Crash]:
        wait_for((self._folder / "go").exists)
        (self._folder / "go").unlink()
        return [Crash(int(path.stem), "Started", "") for path in sorted(self._folder.glob("*.started"))]

    def settle(self, trial: int, decision: Decision) -> None:
        (self._folder / f"{trial}.started").unlink()

    def close(self) -> None:
        (self._folder / "closed").touch()


def answering(folder: Path, say: object) -> tuple[Answering, str]:
    return Answering(folder), "ready"


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    return partial(answering, tmp_path)


def test_a_call_while_events_waits_gets_its_own_answer_and_no_event_is_lost(tmp_path: Path, opened: Open) -> None:
    runner = SeparateRay(opened, tmp_path / "checkpoints", list[str]().append)
    runner.open()
    assert runner.summary == "ready"
    try:
        runner.start(suggestion(trial=3), after=0)
        assert list(runner.events()) == []  # the answer is not there yet
        (tmp_path / "go").touch()
        runner.start(suggestion(trial=5), after=0)
        with pytest.raises(UserError, match="trial 7 is refused"):
            runner.start(suggestion(trial=7), after=0)
        assert runner.free() == 1
        assert [event.trial for event in runner.events()] == [3]
        runner.settle(3, Decision.STOP)
        (tmp_path / "go").touch()
        assert [event.trial for event in runner.events()] == [5]
        assert list(runner.events()) == []
        (tmp_path / "go").touch()
    finally:
        runner.close()
    assert (tmp_path / "closed").exists(), "close was not waited for"

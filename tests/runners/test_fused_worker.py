"""What a fused group does when its common step fails. The contract of the runner tests the rest."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import MachineError
from hpo.runners._fused_worker import DeviceLost, FusedWorker
from hpo.training.builder import Job
from hpo.training.checkpoints import prepare
from hpo.training.trial_run import TrialRun
from hpo.training.worker import Worker
from hpo.trial import Crash, Report
from tests import toy
from tests.runners.driving import fidelities, same, suggestion


class Faulty:
    """A group whose step raises after some of its members have stepped."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def admit(self, training: object) -> None:
        pass

    def step(self, members: Sequence[Any]) -> list[Mapping[str, float]]:
        members[0].step()
        raise self.error


class FaultyWorker(Worker):
    """Its trials all go together, which does not work."""

    def __init__(self, *arguments: Any, error: Exception) -> None:
        super().__init__(*arguments)
        self.error = error

    def key(self, trial_run: TrialRun) -> Hashable:
        return "all"

    def group(self) -> Any:
        return Faulty(self.error)


def fused_worker(tmp_path: Path, error: Exception, **fixed: Any) -> FusedWorker:
    prepare(tmp_path / "c")
    made = FusedWorker(FaultyWorker(Job(toy.space(**fixed), 7, tmp_path), tmp_path / "c", "cpu", error=error))
    for trial in range(3):
        made.start(suggestion(trial=trial), 0)
    return made


def test_a_step_of_all_that_fails_is_repeated_by_each_alone(tmp_path: Path) -> None:
    fused = fused_worker(tmp_path, RuntimeError("out of memory"))
    events = [event for _ in range(3) for event in fused.round([0, 1, 2])]
    assert fidelities(events) == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    prepare(tmp_path / "alone")
    worker = Worker(Job(toy.space(), 7, tmp_path), tmp_path / "alone", "cpu")
    for trial in range(3):
        own = [event for event in events if event.trial == trial]
        assert same(own) == same(list(worker.train(suggestion(trial=trial, until=3), after=0)))


def test_only_the_one_that_fails_alone_crashes(tmp_path: Path) -> None:
    fused = fused_worker(tmp_path, RuntimeError("one of them"))
    fused.drop(1)
    fused.start(suggestion(trial=1, fault="raise_at_once"), 0)
    first, second, third = fused.round([0, 1, 2])
    assert isinstance(second, Crash)
    assert isinstance(first, Report)
    assert isinstance(third, Report)


def test_a_lost_device_is_no_crash_of_any_of_several(tmp_path: Path) -> None:
    with pytest.raises(DeviceLost):
        fused_worker(tmp_path, RuntimeError("CUDA error: device-side assert")).round([0, 1, 2])


def test_a_fault_of_the_machine_is_raised(tmp_path: Path) -> None:
    fused = fused_worker(tmp_path, RuntimeError("out of memory"))
    (tmp_path / "c" / "1.pt").mkdir(parents=True)
    with pytest.raises(MachineError):
        fused.round([0, 1, 2])

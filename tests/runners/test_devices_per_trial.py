"""Trials that several processes of the CPU train together, by real worker processes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hpo import spacefile
from hpo.runners import processes
from hpo.runners._runner import Runner
from hpo.training.builder import Job
from hpo.training.worker import Worker
from hpo.trial import Crash, Decision, Report, Suggestion
from tests.runners import failing_regime
from tests.runners.driving import fidelities, next_events, train
from tests.runners.workers import wait_until_ended, workers

pytestmark = pytest.mark.slow

HIGH = 4


def digits_job(data: Path, regime: str = "from_scratch") -> Job:
    space = spacefile.parse(
        {
            "task": {"regime": regime, "model": "small_cnn", "dataset": "digits"},
            "space": {"lr": {"low": 1e-3, "high": 1e-1, "log": True}, "width": {"type": "int", "low": 1, "high": 9}},
            "fixed": {"optimizer": "sgd", "augmentation": "flip_rotation", "batch_size": 100},
            "fidelity": {"high": HIGH},
        },
        name="digits",
    )
    return Job(space, seed=0, data=data)


def suggestion(trial: int = 0, until: int = 2) -> Suggestion:
    return Suggestion(trial, {"lr": 0.03, "width": 2}, until)


def build(job: Job, checkpoints: Path, devices_per_trial: int) -> Runner:
    return processes.build(job, checkpoints, devices="cpu", slots=1, devices_per_trial=devices_per_trial)


def ranks() -> list[psutil.Process]:
    """The processes of the other ranks of the only worker."""
    (worker,) = workers()
    return [child for child in worker.children() if "spawn_main" in " ".join(child.cmdline())]


def losses(events: list[Report | Crash]) -> list[float]:
    found = []
    for event in events:
        assert isinstance(event, Report), event.error
        found += [event.metrics["train_loss"], event.metrics["val_loss"]]
    return found


class TestTwoDevices:
    """One runner for all tests, whose processes take seconds to start."""

    @pytest.fixture(scope="class")
    @classmethod
    def job(cls, tmp_path_factory: pytest.TempPathFactory) -> Job:
        return digits_job(tmp_path_factory.mktemp("data"))

    @pytest.fixture(scope="class")
    @classmethod
    def checkpoints(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp("checkpoints")

    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls, job: Job, checkpoints: Path) -> Iterator[Runner]:
        runner = build(job, checkpoints, 2)
        yield runner
        runner.close()

    def test_a_trial_goes_on_with_another_number_of_devices_and_its_losses_stay_the_same(
        self, job: Job, runner: Runner, checkpoints: Path, tmp_path: Path
    ) -> None:
        expected = list(Worker(job, tmp_path, "cpu").train(suggestion(until=3), after=0))
        found = train(runner, suggestion(until=1))
        if sys.platform == "linux":
            peak, memory = found[0].peak_host_gib, workers()[0].memory_info().rss / 2**30  # type: ignore[union-attr]
            assert peak is not None
            assert peak > 1.5 * memory  # that of two processes is the sum of theirs
        found += Worker(job, checkpoints, "cpu").train(suggestion(until=2), after=1)
        found += train(runner, suggestion(until=3), after=2)
        assert fidelities(found) == [1, 2, 3]
        assert losses(found) == pytest.approx(losses([*expected]), rel=1e-4)

    def test_after_an_error_of_a_trial_the_same_worker_trains_the_next(self, runner: Runner) -> None:
        """A checkpoint of another network: each rank fails to load it."""
        assert fidelities(train(runner, suggestion(trial=1, until=1))) == [1]
        (worker,) = workers()
        (crash,) = train(runner, Suggestion(1, {"lr": 0.03, "width": 3}, until=2), after=1)
        assert isinstance(crash, Crash)
        assert crash.kind == "RuntimeError"
        assert losses(train(runner, suggestion(trial=2, until=1)))
        assert [each.pid for each in workers()] == [worker.pid]
        assert len(ranks()) == 1


def test_no_rank_is_left_behind_whatever_dies_and_the_trial_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    runner = build(digits_job(tmp_path), tmp_path / "checkpoints", 2)
    try:
        runner.start(suggestion(until=2), after=0)
        events = next_events(runner)
        first = [*ranks(), *workers()]
        first[0].send_signal(signal.SIGKILL)  # the other rank
        runner.settle(0, Decision.CONTINUE)
        events += next_events(runner)
        runner.settle(0, Decision.CONTINUE)
        assert fidelities(events) == [1, 2]
        second = [*ranks(), *workers()]
        workers()[0].kill()
        assert losses(train(runner, suggestion(trial=1, until=1)))
        third = [*ranks(), *workers()]
    finally:
        runner.close()
    assert [len(each) for each in (first, second, third)] == [2, 2, 2]
    assert not wait_until_ended([*first, *second, *third])


@pytest.mark.long
def test_a_rank_that_always_runs_out_of_memory_alone_makes_the_trial_infeasible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(failing_regime.MARKER, str(tmp_path / "no folder" / "failed"))
    runner = build(digits_job(tmp_path, failing_regime.__name__), tmp_path / "checkpoints", 2)
    try:
        *_, crash = train(runner, suggestion(until=3))
    finally:
        runner.close()
    assert isinstance(crash, Crash)
    assert crash.kind == "HostOutOfMemory"
    error = "the trial does not fit into memory, also when tried again: one of its processes ran out of memory"
    assert crash.error.startswith(error)


@pytest.mark.long
def test_a_rank_that_fails_alone_ends_the_worker_and_the_trial_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The other rank waits for it, and would wait for ever."""
    monkeypatch.setenv(failing_regime.MARKER, str(tmp_path / "failed"))
    runner = build(digits_job(tmp_path, failing_regime.__name__), tmp_path / "checkpoints", 2)
    try:
        assert fidelities(train(runner, suggestion(until=3))) == [1, 2, 3]
    finally:
        runner.close()
    assert "MemoryError: of rank 1 alone" in capfd.readouterr().err

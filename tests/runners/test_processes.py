from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

from hpo.devices import n_cores
from hpo.errors import TaskError
from hpo.runners import fused, processes
from hpo.runners._runner import Runner
from hpo.training.builder import Job
from hpo.trial import Crash, Decision
from tests import toy
from tests.runners.contract import CheckpointsContract
from tests.runners.driving import Build, SharedRunner, ToyFixtures, fidelities, next_events, same, suggestion, train
from tests.runners.workers import SECONDS, kill_workers, started_by_trials, wait_for, wait_until_ended, workers
from trainables.store.progress_files import ProgressFile

SEARCH_WITH_CHILDREN = """
import sys, time; from pathlib import Path
from hpo.runners import {runner}; from hpo.training.builder import Job; from tests import toy
from tests.runners.driving import next_events, suggestion
job = Job(toy.space(sleep=60), 0, Path('.'), toy.WithChildren)
runner = {runner}.build(job, Path(sys.argv[1]), devices='cpu', slots=1)
runner.start(suggestion(), after=0)
next_events(runner)
"""


def start(job: Job, checkpoints: Path, slots: int = 1) -> Runner:
    return processes.build(job, checkpoints, devices="cpu", slots=slots)


class TestProcesses(SharedRunner, CheckpointsContract):
    @pytest.fixture(scope="class")
    @classmethod
    def build(cls) -> Build:
        return start

    @pytest.mark.slow
    def test_a_trial_whose_worker_dies_once_goes_on_from_its_checkpoint(self, runner: Runner) -> None:
        events = train(runner, suggestion(until=4, fault="die_once"))
        assert fidelities(events) == [1, 2, 3, 4]

    @pytest.mark.slow
    def test_a_trial_whose_workers_keep_dying_crashes_and_the_slot_lives(self, runner: Runner) -> None:
        events = train(runner, suggestion(fault="die"))
        crash = events[-1]
        assert isinstance(crash, Crash)
        assert crash.kind == "WorkerDied"
        assert "exit status -9" in crash.error
        assert runner.free() == 1
        assert fidelities(train(runner, suggestion(trial=1, until=1))) == [1]

    @pytest.mark.slow
    def test_a_worker_that_was_killed_while_it_waited_for_a_decision_or_was_idle_is_replaced(
        self, runner: Runner
    ) -> None:
        runner.start(suggestion(until=2), after=0)
        events = next_events(runner)
        kill_workers()
        runner.settle(0, Decision.CONTINUE)
        events += next_events(runner)
        runner.settle(0, Decision.CONTINUE)
        assert fidelities(events) == [1, 2]
        kill_workers()
        runner.settle(0, Decision.STOP)
        assert same(train(runner, suggestion(until=2))) == same(events)


class TestWorkers(ToyFixtures):
    """What becomes of worker processes."""

    @pytest.fixture
    def build(self) -> Build:
        return start

    @pytest.mark.slow
    def test_slots_train_at_the_same_time(self, job: Job, checkpoints: Path) -> None:
        runner = start(job, checkpoints, slots=2)
        try:
            assert runner.free() == 2
            for trial in range(2):
                runner.start(suggestion(trial=trial, until=1), after=0)
            assert runner.free() == 0
            seen: set[int] = set()
            while len(seen) < 2:
                for event in runner.events():
                    seen.add(event.trial)
                    runner.settle(event.trial, Decision.CONTINUE)
            assert runner.free() == 2
        finally:
            runner.close()

    def test_a_trainable_that_a_worker_cannot_load_is_a_task_error(
        self, job: Job, checkpoints: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        module = ModuleType("nowhere")
        monkeypatch.setitem(sys.modules, "nowhere", module)
        runner = start(replace(job, trainable=lambda config: module), checkpoints)
        try:
            runner.start(suggestion(), after=0)
            with pytest.raises(
                TaskError, match=r"^a worker process cannot load .*: No module named 'nowhere'; [^\n]+$"
            ):
                next_events(runner)
        finally:
            runner.close()

    @pytest.mark.slow
    @pytest.mark.skipif(os.environ["HPO_CACHE"].lower() == "off", reason="data are prepared only for the store")
    @pytest.mark.parametrize("module", [processes, fused])
    def test_the_time_while_data_are_prepared_does_not_count_for_a_report(
        self, job: Job, checkpoints: Path, log: Path, module: Any
    ) -> None:
        folder = Path(os.environ["HPO_CACHE"])
        folder.mkdir(exist_ok=True)
        preparation, began = ProgressFile(folder / "images.progress", "images"), time.monotonic()
        preparation(0.5)
        waiting = replace(job, trainable=toy.WaitsForFile)
        runner = module.build(waiting, checkpoints, devices="cpu", slots=1, report_timeout=2.0)
        try:
            runner.start(suggestion(until=1), after=0)
            while not log.read_text() or time.monotonic() < began + 2.5:
                assert list(runner.events()) == []
                assert time.monotonic() < began + SECONDS
            preparation.end()
            assert list(runner.events()) == []
            Path(f"{log}.go").touch()
            assert fidelities(next_events(runner)) == [1]
        finally:
            preparation.end()
            runner.close()

    def test_each_slot_gets_its_threads_and_no_gpu_on_the_cpu(
        self, runner: Runner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OMP_NUM_THREADS", "77")
        train(runner, suggestion(until=1))
        environment = workers()[0].environ()
        assert environment["CUDA_VISIBLE_DEVICES"] == ""
        assert int(environment["OMP_NUM_THREADS"]) == n_cores()
        assert os.environ["OMP_NUM_THREADS"] == "77"

    def test_a_worker_starts_with_the_first_trial_of_its_slot_and_ends_when_the_runner_is_closed(
        self, job: Job, checkpoints: Path
    ) -> None:
        runner = start(job, checkpoints, slots=8)
        try:
            assert (runner.free(), len(workers())) == (8, 0)
            train(runner, suggestion(until=1))
            train(runner, suggestion(trial=1, until=1))
            assert (runner.free(), len(workers())) == (8, 1)
        finally:
            runner.close()
        assert workers() == []

    @pytest.mark.slow
    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
    def test_workers_end_when_the_search_is_killed(self, tmp_path: Path, number: signal.Signals) -> None:
        script = (
            "import sys, time; from pathlib import Path\n"
            "from hpo.runners import processes; from hpo.training.builder import Job; from tests import toy\n"
            "from tests.runners.driving import suggestion\n"
            "job = Job(toy.space(sleep=60), 0, Path('.'))\n"
            "runner = processes.build(job, Path(sys.argv[1]), devices='cpu', slots=2)\n"
            "runner.start(suggestion(), after=0)\n"
            "print('up', flush=True); time.sleep(60)\n"
        )
        driver = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "checkpoints")], stdout=subprocess.PIPE, env=os.environ
        )
        try:
            assert driver.stdout is not None
            assert driver.stdout.readline() == b"up\n"
            time.sleep(1)
            children = psutil.Process(driver.pid).children(recursive=True)
            assert len(children) >= 2
            driver.send_signal(number)
            driver.wait()
            _, alive = psutil.wait_procs(children, timeout=SECONDS)
            assert alive == []
        finally:
            driver.kill()
            driver.wait()
            driver.communicate()

    def test_a_trial_may_start_processes_and_they_end_with_the_runner(
        self, job: Job, checkpoints: Path, log: Path
    ) -> None:
        runner = start(replace(job, trainable=toy.WithChildren), checkpoints)
        try:
            assert fidelities(train(runner, suggestion(until=2))) == [1, 2]
            started = started_by_trials(log)
            assert len(started) >= 3
        finally:
            runner.close()
        assert wait_until_ended(started) == []

    @pytest.mark.slow
    def test_the_processes_of_a_trial_end_with_its_worker(self, job: Job, checkpoints: Path, log: Path) -> None:
        runner = start(replace(job, trainable=toy.WithChildren), checkpoints)
        try:
            runner.start(suggestion(until=3), after=0)
            next_events(runner)
            started = started_by_trials(log)
            workers()[0].kill()
            runner.settle(0, Decision.CONTINUE)
            assert fidelities(next_events(runner)) == [2]  # of a new worker
            assert wait_until_ended(started) == []
        finally:
            runner.close()

    @pytest.mark.parametrize(("runner_name", "also_worker"), [("processes", False), ("fused", True)])
    def test_no_process_of_a_trial_survives_a_killed_search(
        self, checkpoints: Path, log: Path, runner_name: str, also_worker: bool
    ) -> None:
        script = SEARCH_WITH_CHILDREN.format(runner=runner_name)
        driver = subprocess.Popen([sys.executable, "-c", script, str(checkpoints)], env=os.environ)
        try:
            wait_for(lambda: log.read_text().endswith("\n") or driver.poll() is not None)
            assert driver.poll() is None
            started = started_by_trials(log)
            assert len(started) >= 3
            for process in [psutil.Process(driver.pid), *(started if also_worker else [])]:
                if "sleep" not in process.name():
                    process.kill()
            assert wait_until_ended(started) == []
        finally:
            driver.kill()
            driver.wait()

    def test_a_program_that_leaves_a_runner_open_ends_all_the_same(self, checkpoints: Path, log: Path) -> None:
        script = SEARCH_WITH_CHILDREN.format(runner="processes").replace("sleep=60", "sleep=0")
        subprocess.run([sys.executable, "-c", script, str(checkpoints)], env=os.environ, timeout=60, check=True)
        assert wait_until_ended(started_by_trials(log)) == []

    def test_searches_in_several_threads_start_their_workers_undisturbed(
        self, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OMP_NUM_THREADS", "77")
        main, failed = sys.modules["__main__"], list[Exception]()

        def search(number: int) -> None:
            runner = processes.build(job, tmp_path / str(number), devices="cpu", slots=2)
            try:
                for trial in range(2):
                    runner.start(suggestion(trial=trial), after=0)
                    runner.events()
            except Exception as error:
                failed.append(error)
            finally:
                runner.close()

        threads = [threading.Thread(target=search, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
        assert failed == []
        assert sys.modules["__main__"] is main
        assert os.environ["OMP_NUM_THREADS"] == "77"
        assert workers() == []

"""What the runners do with a trial that runs out of memory. The shortages are real: allocations that fail."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from hpo.devices import plan_slots
from hpo.runners import fused, inline, processes
from hpo.runners._runner import Runner
from hpo.training.builder import Job
from hpo.trial import Crash, Decision, Report
from tests import toy
from tests.runners.driving import ToyFixtures, fidelities, next_events, same, suggestion, train
from tests.runners.workers import workers

MIB = 2**20


class TooLarge(toy.Curve):
    """Its second epoch fits only if each batch is computed in at least `needs` parts. 0: it never fits."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.parts = int(config.get("micro_batches", 1))

    def step(self) -> Mapping[str, float]:
        needs = int(self.config["needs"])
        if self.epoch == 1 and (not needs or self.parts < needs):
            np.empty(2**55)
        return super().step()


class Limited(toy.Curve):
    """Its process may take 300 MiB more than at its start. A batch takes 512 MiB, a part its share."""

    def step(self) -> Mapping[str, float]:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + 300 * MIB, resource.RLIM_INFINITY))
        torch.ones(512 * MIB // 4 // int(self.config.get("micro_batches", 1)))
        return super().step()


class Crowded(toy.Curve):
    """Its epochs fit into memory only while no other trial has a process, if `x` is above 0.9. Others always fit."""

    def step(self) -> Mapping[str, float]:
        folder = Path(os.environ["HPO_TOY_LOG"] + ".processes")
        folder.mkdir(exist_ok=True)
        (folder / str(os.getpid())).touch()
        others = [int(path.name) for path in folder.iterdir() if path.name != str(os.getpid())]
        if float(self.config["x"]) > 0.9 and any(_trains(number) for number in others):
            np.empty(2**55)
        return super().step()


def _trains(number: int) -> bool:
    return psutil.pid_exists(number) and psutil.Process(number).status() != psutil.STATUS_ZOMBIE


class Killed(toy.Curve):
    """Its second epoch ends as if the kernel had killed the process, until `kills` such kills were counted."""

    def step(self) -> Mapping[str, float]:
        counter = Path(os.environ["HPO_TOY_LOG"] + ".kills")
        n_kills = int(counter.read_text())
        if self.epoch == 1 and n_kills < int(self.config["kills"]):
            counter.write_text(str(n_kills + 1))
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step()


def start(module: Any, job: Job, checkpoints: Path, slots: int = 1) -> Runner:
    runner: Runner = module.build(job, checkpoints, devices="cpu", slots=slots)
    return runner


def with_code(job: Job, code: Any, **fixed: Any) -> Job:
    return replace(job, trainable=code, space=toy.space(**fixed))


RUNNERS = [
    pytest.param(inline, id="inline"),
    pytest.param(processes, id="processes", marks=pytest.mark.slow),
    pytest.param(fused, id="fused", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("module", RUNNERS)
class TestOneTrial(ToyFixtures):
    def test_a_trial_that_does_not_fit_is_infeasible_after_a_second_try_and_the_slot_goes_on(
        self, module: Any, job: Job, checkpoints: Path, log: Path
    ) -> None:
        runner = start(module, with_code(job, TooLarge, needs=0), checkpoints)
        try:
            report, crash = train(runner, suggestion())
            assert isinstance(report, Report)
            assert isinstance(crash, Crash)
            assert crash.kind == "HostOutOfMemory"
            assert crash.summary.startswith(
                "the trial does not fit into memory, also when tried again: Unable to allocate 256. PiB"
            )
            assert not list(checkpoints.glob("*.pt"))
            assert fidelities(train(runner, suggestion(trial=1, until=1))) == [1]
        finally:
            runner.close()
        assert len(log.read_text().splitlines()) == 2  # the first epoch was not trained again

    def test_with_accumulate_it_trains_in_more_parts_from_its_last_epoch_and_the_record_says_so(
        self, module: Any, job: Job, checkpoints: Path, log: Path
    ) -> None:
        runner = start(module, with_code(job, TooLarge, needs=4, oom="accumulate", batch_size=32), checkpoints)
        try:
            events = train(runner, suggestion(until=3))
            assert fidelities(events) == [1, 2, 3]
            assert [getattr(event, "micro_batches", 0) for event in events] == [None, 4, 4]
        finally:
            runner.close()
        again = start(module, with_code(job, TooLarge, needs=4, oom="accumulate", batch_size=32), checkpoints)
        try:
            further = train(again, suggestion(until=5), after=3)
            assert [getattr(event, "micro_batches", 0) for event in further] == [4, 4]
        finally:
            again.close()
        assert len(log.read_text().splitlines()) == 5

    def test_parts_of_less_than_two_images_are_not_tried(self, module: Any, job: Job, checkpoints: Path) -> None:
        runner = start(module, with_code(job, TooLarge, needs=8, oom="accumulate", batch_size=8), checkpoints)
        try:
            crash = train(runner, suggestion())[-1]
            assert isinstance(crash, Crash)
            assert crash.is_out_of_memory
            assert "also when tried again and with its batches in up to 4 parts" in crash.summary
        finally:
            runner.close()


@pytest.mark.slow
class TestProcesses(ToyFixtures):
    def test_an_allocation_that_the_system_refuses_is_a_shortage_and_parts_of_a_batch_fit(
        self, job: Job, checkpoints: Path
    ) -> None:
        runner = start(processes, with_code(job, Limited, oom="accumulate"), checkpoints)
        try:
            (report,) = train(runner, suggestion(until=1))
            assert isinstance(report, Report)
            assert report.micro_batches == 2
        finally:
            runner.close()

    @pytest.mark.parametrize("module", [processes, fused])
    def test_a_worker_that_the_kernel_kills_for_its_memory_has_not_died_of_the_trial(
        self, module: Any, job: Job, checkpoints: Path, log: Path
    ) -> None:
        counter = Path(f"{log}.kills")
        counter.write_text("0")
        job = with_code(job, Killed, oom="accumulate", batch_size=4)
        slots, count = plan_slots("cpu", 1), lambda: int(counter.read_text())
        runner: Runner = (
            processes.Processes(job, checkpoints, slots, count_oom_kills=count)
            if module is processes
            else fused.Fused(job, checkpoints, slots, 1, count_oom_kills=count)
        )
        try:
            assert [getattr(event, "micro_batches", 0) for event in train(runner, suggestion(until=2, kills=2))] == [
                None,
                2,
            ]
            crash = train(runner, suggestion(trial=1, kills=9))[-1]
            assert isinstance(crash, Crash)
            assert crash.kind == "HostOutOfMemory"
            assert crash.summary == (
                "the trial does not fit into memory, also when tried again and with its batches in up to 2 parts: "
                "the kernel killed its worker after epoch 1, because the memory of the machine ran out"
            )
        finally:
            runner.close()

    def test_a_trial_that_fits_only_alone_trains_alone_and_the_others_lose_no_epoch(
        self, job: Job, checkpoints: Path, log: Path
    ) -> None:
        job = with_code(job, Crowded)
        large, small = suggestion(trial=0, x=0.95, until=3), suggestion(trial=1, x=0.5, until=6, sleep=0.2)
        runner = start(processes, job, checkpoints, slots=2)
        try:
            for trial in (2, 3):  # so that both processes are there
                runner.start(suggestion(trial=trial, until=1), after=0)
            while runner.free() < 2:
                for event in next_events(runner):
                    runner.settle(event.trial, Decision.CONTINUE)
            runner.start(small, after=0)
            events = next_events(runner)
            runner.settle(1, Decision.CONTINUE)
            runner.start(large, after=0)
            while len(events) < 9:
                for event in next_events(runner):
                    assert isinstance(event, Report), event
                    events.append(event)
                    if event.trial == 0:
                        assert runner.free() == 0
                        assert len([worker for worker in workers() if _trains(worker.pid)]) == 1
                    runner.settle(event.trial, Decision.CONTINUE)
            assert runner.free() == 2
            # What is promoted must be alone again, and nothing else starts meanwhile.
            runner.start(replace(large, until=4), after=3)
            assert runner.free() == 0
            assert fidelities(next_events(runner)) == [4]
            runner.settle(0, Decision.PAUSE)
            assert runner.free() == 2
        finally:
            runner.close()
        of_large = [index for index, event in enumerate(events) if event.trial == 0]
        assert of_large == list(range(of_large[0], of_large[0] + 3))
        assert of_large[-1] < 8, "the other trial was held, and went on afterwards"
        assert len(log.read_text().splitlines()) == 12
        alone = start(processes, job, checkpoints.parent / "alone")
        try:
            assert same(train(alone, small)) == same([event for event in events if event.trial == 1])
        finally:
            alone.close()


@pytest.mark.slow
class TestFused(ToyFixtures):
    def test_a_trial_that_fits_only_alone_trains_while_no_other_device_has_a_process(
        self, job: Job, checkpoints: Path, log: Path
    ) -> None:
        devices = [*plan_slots("cpu", 1), *plan_slots("cpu", 1)]
        runner = fused.Fused(with_code(job, Crowded), checkpoints, devices, 1)
        large, small = suggestion(trial=0, x=0.95, until=2), suggestion(trial=1, x=0.5, until=4, sleep=0.2)
        try:
            runner.start(small, after=0)
            events = next_events(runner)
            runner.settle(1, Decision.CONTINUE)
            runner.start(large, after=0)
            while len(events) < 6:
                for event in next_events(runner):
                    assert isinstance(event, Report), event
                    events.append(event)
                    runner.settle(event.trial, Decision.CONTINUE)
            assert runner.free() == 2
        finally:
            runner.close()
        assert [event.fidelity for event in events if event.trial == 0] == [1, 2]  # type: ignore[union-attr]
        assert [event.fidelity for event in events if event.trial == 1] == [1, 2, 3, 4]  # type: ignore[union-attr]
        assert len(log.read_text().splitlines()) == 6, "no epoch is trained twice"

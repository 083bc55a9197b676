"""The runner `ray` on a cluster of two nodes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ray_nodes import Nodes
from hpo.runners import ray as ray_runner
from hpo.runners._runner import HUNG, Runner
from hpo.training.builder import Job
from hpo.trial import Crash, Decision, Report
from tests import toy
from tests.runners.contract import CheckpointsContract
from tests.runners.driving import Build, SharedRunner, ToyFixtures, fidelities, next_events, same, suggestion, train

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def ray_of(nodes: Nodes, **options: Any) -> Callable[..., Any]:
    """A function that builds a runner on this cluster. Each slot takes a quarter of a node, so that several fit."""
    given = {"address": nodes.address, "resources": "cpu=0.25", "slots": 1, "devices": "cpu", **options}
    return lambda job, checkpoints: ray_runner.build(job, checkpoints, **given)


class TestRay(SharedRunner, CheckpointsContract):
    """All nodes see the folder of the checkpoints."""

    @pytest.fixture(scope="class")
    @classmethod
    def build(cls, nodes: Nodes) -> Build:
        return ray_of(nodes)

    def test_a_trial_whose_actor_dies_once_goes_on_from_its_checkpoint(self, runner: Runner) -> None:
        events = train(runner, suggestion(until=4, fault="die_once"))
        assert fidelities(events) == [1, 2, 3, 4]

    def test_a_trial_whose_actors_keep_dying_crashes_and_the_slot_lives(self, runner: Runner) -> None:
        crash = train(runner, suggestion(fault="die"))[-1]
        assert isinstance(crash, Crash)
        assert crash.kind == "WorkerDied"
        assert "its actor died 3 times after epoch 1" in crash.error
        assert fidelities(train(runner, suggestion(trial=1, until=1))) == [1]


class TestNodes(ToyFixtures):
    """What becomes of trials if nodes and actors come and go."""

    def test_a_killed_node_costs_no_epoch_and_no_trial_and_a_new_node_is_used(
        self, nodes: Nodes, job: Job, checkpoints: Path
    ) -> None:
        job = replace(job, space=toy.space(sleep=0.2))
        runner = ray_of(nodes, resources="cpu=1", slots=None)(job, checkpoints)
        on_nodes: list[int] = []
        seen: dict[int, list[int]] = {trial: [] for trial in range(8)}
        left, running = list(seen), 0
        try:
            while left or running:
                while left and runner.free():
                    runner.start(suggestion(trial=left.pop(0), until=4), after=0)
                    running += 1
                for event in next_events(runner):
                    assert not isinstance(event, Crash)
                    seen[event.trial].append(event.fidelity)
                    running -= event.fidelity == 4
                    runner.settle(event.trial, Decision.CONTINUE)
                    on_nodes.append(len({slot.placement.node for slot in runner.open().all() if slot.placement}))
                if len(nodes.nodes) == 2 and len(on_nodes) in range(6, 9):
                    nodes.kill(nodes.nodes.pop())
                if len(nodes.nodes) == 1 and len(on_nodes) > 14:
                    nodes.nodes.append(nodes.add())
        finally:
            runner.close()
        assert seen == {trial: [1, 2, 3, 4] for trial in seen}
        assert on_nodes[-1] == 2

    def test_an_idle_actor_that_was_killed_is_not_the_fault_of_the_next_trial(
        self, nodes: Nodes, job: Job, checkpoints: Path
    ) -> None:
        runner = ray_of(nodes)(job, checkpoints)
        try:
            for trial in range(3):
                assert fidelities(train(runner, suggestion(trial=trial, until=1))) == [1]
                (slot,) = runner.open().all()
                os.kill(slot.placement.process, signal.SIGKILL)
        finally:
            runner.close()

    def test_a_trial_that_sends_no_report_for_too_long_has_hung(
        self, nodes: Nodes, job: Job, checkpoints: Path
    ) -> None:
        hanging = replace(job, space=toy.space(sleep=60))
        runner = ray_of(nodes, report_timeout=1)(hanging, checkpoints)
        try:
            runner.start(suggestion(), after=0)
            (crash,) = next_events(runner)
            assert isinstance(crash, Crash)
            assert crash.kind == HUNG
            runner.settle(0, Decision.CONTINUE)
            assert runner.free() == 1
        finally:
            runner.close()

    def test_a_killed_search_leaves_no_actor_and_the_next_one_takes_its_place(
        self, nodes: Nodes, job: Job, checkpoints: Path, log: Path
    ) -> None:
        script = (
            "import sys; from pathlib import Path; from hpo.runners import ray; from hpo.training.builder import Job\n"
            "from tests import toy; from tests.runners.driving import next_events, suggestion\n"
            "job = Job(toy.space(sleep=0.5), 7, Path('.'))\n"
            "options = dict(address=sys.argv[2], resources='cpu=1', devices='cpu', slots=2)\n"
            "runner = ray.build(job, Path(sys.argv[1]), **options)\n"
            "runner.start(suggestion(), after=0)\n"
            "next_events(runner); print('up', flush=True); next_events(runner)\n"
            "import time; time.sleep(60)\n"
        )
        command = [sys.executable, "-c", script, str(checkpoints), nodes.address]
        driver = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ)
        try:
            assert driver.stdout is not None
            assert driver.stdout.readline() == b"up\n"
        finally:
            driver.kill()
            driver.wait()
            driver.communicate()
        runner = ray_of(nodes, resources="cpu=1", slots=2)(job, checkpoints)
        try:
            assert fidelities(train(runner, suggestion(until=4), after=1)) == [2, 3, 4]
            assert sorted(path.name for path in checkpoints.iterdir()) == ["0.pt"]
        finally:
            runner.close()

    def test_pausing_and_resuming_on_another_node_changes_nothing(
        self, nodes: Nodes, job: Job, checkpoints: Path
    ) -> None:
        build = ray_of(nodes)
        runner = build(job, checkpoints)
        whole = train(runner, suggestion(until=6))
        runner.settle(0, Decision.STOP)
        parts = train(runner, suggestion(until=3))
        runner.close()
        runner = build(job, checkpoints)
        parts += train(runner, suggestion(until=6), after=3)
        runner.close()
        assert same(parts) == same(whole)

    def test_a_trial_that_runs_out_of_memory_is_tried_again_once_and_is_then_infeasible(
        self, nodes: Nodes, job: Job, checkpoints: Path, log: Path
    ) -> None:
        runner = ray_of(nodes)(replace(job, trainable=OutOfMemory), checkpoints)
        try:
            (crash,) = train(runner, suggestion(until=2))
            assert isinstance(crash, Crash)
            assert crash.kind == "HostOutOfMemory"
            assert "the trial does not fit into memory, also when tried again" in crash.error
            assert len(log.read_text().splitlines()) == 2
        finally:
            runner.close()

    def test_two_trials_share_one_gpu(self, nodes: Nodes, job: Job, checkpoints: Path) -> None:
        node = nodes.add(num_gpus=1)  # Ray counts a GPU that need not exist, and the toy does not use it
        runner = ray_of(nodes, resources="gpu=0.5,cpu=0.25", slots=None, devices="auto")(job, checkpoints)
        try:
            assert len(runner.open().all()) == 2
            devices = set[tuple[int, str]]()
            for trial in range(2):
                runner.start(suggestion(trial=trial, until=1), after=0)
            while len(devices) < 2:
                devices |= {(event.trial, event.device) for event in next_events(runner) if isinstance(event, Report)}
            assert devices == {(0, "cuda:0"), (1, "cuda:0")}
        finally:
            runner.close()
            nodes.kill(node)


class OutOfMemory(toy.Curve):
    """A training for which the memory never suffices."""

    def step(self) -> Any:
        super().step()
        raise MemoryError

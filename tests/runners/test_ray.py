"""The runner `ray` on a cluster of two nodes."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ray_nodes import Nodes
from hpo.runners import _ray_cluster
from hpo.runners import ray as ray_runner
from hpo.runners._ray_resources import SlotRequest
from hpo.runners._ray_runner import Ray, RayRequest
from hpo.runners._runner import HUNG, Runner
from hpo.training.builder import Job
from hpo.training.checkpoints import prepare
from hpo.training.received_checkpoints import FolderCheckpoints
from hpo.trial import Crash, Decision, Report
from tests import toy
from tests.runners.contract import CheckpointsContract, RunnerContract
from tests.runners.driving import Build, SharedRunner, ToyFixtures, fidelities, next_events, same, suggestion, train
from tests.runners.workers import wait_for

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


class TestSentCheckpoints(SharedRunner, CheckpointsContract):
    """No node sees the folder of the checkpoints."""

    @pytest.fixture(scope="class")
    @classmethod
    def build(cls, nodes: Nodes) -> Build:
        def build(job: Job, checkpoints: Path) -> Runner:
            uses, received = SlotRequest("cpu", 1, {"CPU": 0.25}), FolderCheckpoints(checkpoints)
            prepare(checkpoints)
            runner = Ray(RayRequest(job, checkpoints, received, uses, nodes.address, shares_folder=False))
            runner.open()
            return runner

        return build


class TestUrlCheckpoints(SharedRunner, RunnerContract):
    """The checkpoints are at a URL."""

    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, folder: Path) -> Path:
        return folder / "objects"

    @pytest.fixture(scope="class")
    @classmethod
    def build(cls, nodes: Nodes, url: Path) -> Build:
        return ray_of(nodes, checkpoint_url=f"local://{url}")

    def test_a_complete_trial_has_its_best_checkpoint_in_the_folder_and_nothing_at_the_url(
        self, runner: Runner, checkpoints: Path, url: Path
    ) -> None:
        train(runner, suggestion(until=9))
        assert [path.name for path in checkpoints.iterdir()] == ["0.best.pt"]
        assert [path for path in url.rglob("*") if path.is_file()] == []

    def test_a_paused_trial_keeps_its_object_until_it_is_stopped(
        self, runner: Runner, checkpoints: Path, url: Path
    ) -> None:
        train(runner, suggestion(until=3))
        assert len([path for path in url.rglob("*") if path.is_file()]) == 1
        runner.settle(0, Decision.STOP)
        assert [path for path in url.rglob("*") if path.is_file()] == []
        assert list(checkpoints.iterdir()) == []

    def test_objects_that_no_trial_names_are_deleted_by_the_next_search(
        self, nodes: Nodes, job: Job, checkpoints: Path, url: Path
    ) -> None:
        build = ray_of(nodes, checkpoint_url=f"local://{url}")
        runner = build(job, checkpoints)
        train(runner, suggestion(until=2))
        runner.close()
        (named,) = [path for path in url.rglob("*") if path.is_file()]
        named.with_name("7.left.pt").write_bytes(b"of a search that was killed")
        again = build(job, checkpoints)
        assert [path for path in url.rglob("*") if path.is_file()] == [named]
        assert fidelities(train(again, suggestion(until=3), after=2)) == [3]
        again.settle(0, Decision.STOP)
        again.close()


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


@pytest.fixture(scope="class")
def apart(nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that a further node of the cluster does not see."""
    folder = tmp_path_factory.mktemp("apart")
    if sys.platform != "linux" or subprocess.run(["unshare", "--mount", "true"], check=False).returncode != 0:
        pytest.skip("only root on Linux can start a node that does not see a folder")
    node = nodes.add_without(folder)
    try:
        wait_for(lambda: any("apart" in each.resources for each in _ray_cluster.nodes()))
        yield folder
    finally:
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()


class TestAnotherMachine:
    """A node with a file system of its own."""

    def test_checkpoints_come_and_go_with_the_reports(
        self, nodes: Nodes, apart: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HPO_TOY_LOG", raising=False)
        job, checkpoints = Job(toy.space(), 7, apart), apart / "study" / "checkpoints"
        runner = ray_of(nodes, resources="apart=1")(job, checkpoints)
        try:
            first = train(runner, suggestion(until=3))
            (slot,) = runner.open().all()
            assert not slot.placement.sees_folder
            assert [path.name for path in checkpoints.iterdir()] == ["0.pt"]
        finally:
            runner.close()
        here = ray_of(nodes, resources="cpu=0.25")(job, checkpoints)
        try:
            assert fidelities(first + train(here, suggestion(until=5), after=3)) == [1, 2, 3, 4, 5]
            (slot,) = here.open().all()
            assert slot.placement.sees_folder
        finally:
            here.close()

    def test_a_folder_is_missing_there_unless_it_is_sent(self, nodes: Nodes, apart: Path, tmp_path: Path) -> None:
        images = apart / "images"
        for name in ("a/1", "a/2", "b/1"):
            (images / name).parent.mkdir(parents=True, exist_ok=True)
            (images / name).write_text(f"image {name}")
        job = Job(toy.space(), 7, apart, functools.partial(ReadsFolder, images))
        checkpoints = tmp_path / "checkpoints"
        runner = ray_of(nodes, resources="apart=1")(job, checkpoints)
        try:
            (crash,) = train(runner, suggestion(until=1))
            assert isinstance(crash, Crash)
            assert crash.kind == "FileNotFoundError"
        finally:
            runner.close()
        runner = ray_of(nodes, resources="apart=1", sync=str(images))(job, checkpoints)
        try:
            assert fidelities(train(runner, suggestion(until=1))) == [1]
        finally:
            runner.close()


class OutOfMemory(toy.Curve):
    """A training for which the memory never suffices."""

    def step(self) -> Any:
        super().step()
        raise MemoryError


class ReadsFolder(toy.Curve):
    """A training that reads the images of a folder."""

    def __init__(self, folder: Path, config: Any) -> None:
        super().__init__(config)
        for name in ("a/1", "a/2", "b/1"):
            assert (folder / name).read_text() == f"image {name}"

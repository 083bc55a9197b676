"""The checkpoints of the runner `ray`: in reports, at a URL, and on a node with a file system of its own."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ray_nodes import Nodes
from hpo.runners import _ray_cluster
from hpo.runners._ray_resources import SlotRequest
from hpo.runners._ray_runner import Ray, RayRequest
from hpo.runners._runner import Runner
from hpo.training.builder import Job
from hpo.training.checkpoints import prepare
from hpo.training.received_checkpoints import FolderCheckpoints
from hpo.trial import Crash, Decision
from tests import toy
from tests.runners.contract import CheckpointsContract, RunnerContract
from tests.runners.driving import Build, SharedRunner, fidelities, suggestion, train
from tests.runners.test_ray import ray_of
from tests.runners.workers import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


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


class ReadsFolder(toy.Curve):
    """A training that reads the images of a folder."""

    def __init__(self, folder: Path, config: Any) -> None:
        super().__init__(config)
        for name in ("a/1", "a/2", "b/1"):
            assert (folder / name).read_text() == f"image {name}"

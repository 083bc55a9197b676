"""The runner `ray` in a process of its own, and clusters that end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from benchmarks.ray_nodes import Nodes
from hpo.errors import MachineError, UserError
from hpo.runners import _ray_cluster
from hpo.runners._ray_process import SeparateRay
from hpo.runners._ray_resources import SlotRequest
from hpo.runners._ray_runner import RayRequest, opened
from hpo.runners._runner import Runner
from hpo.training.builder import Job
from hpo.training.checkpoints import prepare
from hpo.training.received_checkpoints import FolderCheckpoints
from hpo.trial import Decision
from tests import toy
from tests.runners.contract import RunnerContract
from tests.runners.driving import Build, SharedRunner, ToyFixtures, next_events, suggestion
from tests.runners.workers import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def separate(nodes: Nodes, job: Job, checkpoints: Path, said: list[str] | None = None) -> SeparateRay:
    """A runner with one slot on a cluster. What it says is appended to `said`."""
    prepare(checkpoints)
    uses, received = SlotRequest("cpu", 1, {"CPU": 0.25}), FolderCheckpoints(checkpoints)
    request = RayRequest(job, checkpoints, received, uses, nodes.address)
    runner = SeparateRay(partial(opened, request), checkpoints, (said if said is not None else []).append)
    runner.open()
    return runner


class TestSeparateRay(SharedRunner, RunnerContract):
    """It does what every runner does."""

    @pytest.fixture(scope="class")
    @classmethod
    def build(cls, nodes: Nodes) -> Build:
        def build(job: Job, checkpoints: Path) -> Runner:
            return separate(nodes, job, checkpoints)

        return build


def go_on_until_an_error(runner: Runner) -> None:
    while True:
        for _ in runner.events():
            runner.settle(0, Decision.CONTINUE)


@pytest.fixture
def own_nodes() -> Iterator[Nodes]:
    """A cluster to which this process is not connected, and which a test may end."""
    nodes = Nodes(nodes=1)
    yield nodes
    nodes.close()


class TestEnds(ToyFixtures):
    """What becomes of a search if its cluster or its process ends."""

    def test_a_cluster_that_is_stopped_ends_the_search_with_an_error_that_says_how_to_go_on(
        self, own_nodes: Nodes, job: Job, checkpoints: Path
    ) -> None:
        said: list[str] = []
        runner = separate(own_nodes, replace(job, space=toy.space(sleep=0.1)), checkpoints, said)
        assert said == [f"connecting to the Ray cluster {own_nodes.address}"]
        assert runner.summary == "ray: 1 slot of cpu=0.25 on 1 node"
        runner.start(suggestion(), after=0)
        next_events(runner)
        own_nodes.stop_head()
        with pytest.raises(MachineError, match=r"the Ray cluster .*; no recorded epoch is lost") as raised:
            go_on_until_an_error(runner)
        assert "--runner processes" in raised.value.go_on_with
        runner.close()
        assert [path.name for path in checkpoints.parent.iterdir() if path.suffix in (".tmp", ".json")] == []

    def test_a_process_that_is_killed_ends_the_search_and_leaves_no_actor(
        self, nodes: Nodes, job: Job, checkpoints: Path
    ) -> None:
        runner = separate(nodes, replace(job, space=toy.space(sleep=0.1)), checkpoints)
        runner.start(suggestion(), after=0)
        next_events(runner)
        (process,) = [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
        process.kill()
        with pytest.raises(MachineError, match="the process that is connected to the Ray cluster was killed"):
            go_on_until_an_error(runner)
        listed = _ray_cluster.imported().util.list_named_actors
        wait_for(lambda: not listed(all_namespaces=True))

    def test_an_error_of_the_process_is_raised_as_the_error_that_it_is(
        self, nodes: Nodes, job: Job, checkpoints: Path
    ) -> None:
        request = RayRequest(job, checkpoints, FolderCheckpoints(checkpoints), SlotRequest("cpu", 1, {"CPU": 64.0}))
        prepare(checkpoints)
        runner = SeparateRay(partial(opened, replace(request, address=nodes.address)), checkpoints, list[str]().append)
        with pytest.raises(UserError, match="no node of the Ray cluster offers a slot cpu=64"):
            runner.open()


def test_a_study_whose_cluster_is_gone_names_the_commands_that_go_on(tmp_path: Path) -> None:
    def hpo(verb: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hpo.cli", verb, *words, "--studies", str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    space = ["--space", "digits_softmax", "--set", "fidelity.high=2"]
    assert hpo("search", *space, "--study", "s", "--trials", "1", "--runner", "inline").returncode == 0
    shown = hpo("resume", "s", "--trials", "2", "--runner", "ray", "--ray-address", "127.0.0.1:9")
    assert shown.returncode == 2
    assert "--ray-address 127.0.0.1:9: no Ray cluster answers: " in shown.stderr
    for option in ("--ray-address ADDRESS", "--ray-address local", "--runner processes"):
        assert f"`hpo resume s {option} --studies {tmp_path}`" in shown.stderr
    assert hpo("resume", "s", "--runner", "inline").returncode == 0

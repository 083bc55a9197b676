"""The runner `ray` and trials that run out of memory: they are tried again alone."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.ray_nodes import Nodes
from hpo.runners._ray_resources import SlotRequest
from hpo.runners._ray_runner import Ray, RayRequest
from hpo.training.builder import Job
from hpo.training.checkpoints import prepare
from hpo.training.received_checkpoints import FolderCheckpoints
from hpo.trial import Crash, Decision, Report
from tests import toy
from tests.runners.driving import ToyFixtures, fidelities, next_events, suggestion, train
from tests.runners.test_out_of_memory import Killed
from tests.runners.workers import SECONDS, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.filterwarnings("ignore")]


class Crowded(toy.Curve):
    """Two trials that meet: the large one, whose `x` is above 0.9, fits only alone, and the small one always.

    The first epoch of the large trial waits for the small one to train, and runs out of memory. The second epoch of the
    small trial waits for that. So they train at the same time, however busy the machine is.
    """

    def step(self) -> Mapping[str, float]:
        log = os.environ["HPO_TOY_LOG"]
        busy, was_short = Path(f"{log}.busy"), Path(f"{log}.short")
        busy.mkdir(exist_ok=True)
        own = busy / f"{self.config['x']}"
        own.touch()
        try:
            if float(self.config["x"]) > 0.9:
                if not was_short.exists():
                    wait_for(lambda: len(list(busy.iterdir())) > 1)
                if len(list(busy.iterdir())) > 1:
                    was_short.touch()
                    np.empty(2**55)
            elif self.epoch == 1:
                wait_for(was_short.exists)
            return super().step()
        finally:
            own.unlink()


def counted(counter: Path) -> int:
    """The kills that the toy counts in a file, as the kernel would."""
    return int(counter.read_text())


def start(nodes: Nodes, job: Job, checkpoints: Path, slots: int, resource: str = "CPU", **options: Any) -> Ray:
    """A runner whose slots each take a quarter of a resource."""
    prepare(checkpoints)
    uses, received = SlotRequest("cpu", slots, {resource: 0.25}), FolderCheckpoints(checkpoints)
    runner = Ray(RayRequest(job, checkpoints, received, uses, nodes.address, **options))
    runner.open()
    return runner


class TestMemory(ToyFixtures):
    def test_a_trial_that_fits_only_alone_trains_alone_and_the_others_lose_no_epoch(
        self, nodes: Nodes, job: Job, checkpoints: Path, log: Path
    ) -> None:
        job = replace(job, trainable=Crowded)
        node = nodes.add(num_cpus=1, resources={"shared": 1})  # so that both slots are on one node
        runner = start(nodes, job, checkpoints, 2, "shared")
        large, small = suggestion(trial=0, x=0.95, until=3), suggestion(trial=1, x=0.5, until=10**6)
        events: list[Report] = []
        deadline = time.monotonic() + SECONDS
        try:
            runner.start(small, after=0)
            events += [event for event in next_events(runner) if isinstance(event, Report)]
            runner.settle(1, Decision.CONTINUE)
            runner.start(large, after=0)
            trials: list[int] = []
            while 0 not in trials or trials[-1] == 0:  # until the small one goes on after the large one
                assert time.monotonic() < deadline, f"only {len(events)} epochs were reported"
                for event in runner.events():
                    assert isinstance(event, Report), event
                    events.append(event)
                    if event.trial == 0:
                        assert runner.free() == 0
                    is_over = event.trial == 1 and 0 in trials
                    runner.settle(event.trial, Decision.STOP if is_over else Decision.CONTINUE)
                    trials.append(event.trial)
            n_small = trials.count(1)
            assert [event.fidelity for event in events if event.trial == 0] == [1, 2, 3]
            assert [event.fidelity for event in events if event.trial == 1] == list(range(1, n_small + 2))
            assert trials == [*[1] * (n_small - 1), 0, 0, 0, 1], "the other trial was not held"
            # What is promoted must be alone again, and nothing else starts meanwhile.
            runner.start(replace(large, until=4), after=3)
            assert fidelities(next_events(runner)) == [4]
            assert runner.free() == 0
            runner.settle(0, Decision.PAUSE)
        finally:
            runner.close()
            nodes.kill(node)

    def test_an_actor_that_the_kernel_kills_for_its_memory_has_not_died_of_the_trial(
        self, nodes: Nodes, job: Job, checkpoints: Path, log: Path
    ) -> None:
        counter = Path(f"{log}.kills")
        counter.write_text("0")
        job = replace(job, trainable=Killed, space=toy.space(oom="accumulate", batch_size=8))
        runner = start(nodes, job, checkpoints, 1, count_oom_kills=partial(counted, counter))
        try:
            events = train(runner, suggestion(until=2, kills=2))
            assert [getattr(event, "micro_batches", 0) for event in events] == [None, 2]
            crash = train(runner, suggestion(trial=1, kills=9))[-1]
            assert isinstance(crash, Crash)
            assert crash.kind == "HostOutOfMemory"
            assert crash.summary == (
                "the trial does not fit into memory, also when tried again and with its batches in up to 4 parts: "
                "the kernel killed its worker after epoch 1, because the memory of the machine ran out"
            )
        finally:
            runner.close()

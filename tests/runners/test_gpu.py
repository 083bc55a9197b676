"""The runners on a real GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hpo import spacefile
from hpo.runners import fused, processes
from hpo.runners._runner import Runner
from hpo.training.builder import Job
from hpo.trial import Decision, Report, Suggestion
from tests.runners.driving import next_events, train

pytestmark = pytest.mark.cuda


@pytest.fixture
def job(tmp_path: Path) -> Job:
    space = spacefile.parse(
        {
            "task": {"regime": "from_scratch", "model": "small_cnn", "dataset": "digits"},
            "space": {"lr": {"low": 1e-3, "high": 1e-2, "log": True}},
            "fidelity": {"high": 4},
        },
        name="digits",
    )
    return Job(space, seed=0, data=tmp_path)


@pytest.mark.parametrize("build", [processes.build, fused.build])
def test_trials_share_a_gpu_and_name_it(job: Job, tmp_path: Path, build: Callable[..., Runner]) -> None:
    runner = build(job, tmp_path / "checkpoints", devices="cuda:0", slots=2)
    reports: dict[int, list[Report]] = {0: [], 1: []}
    try:
        for trial in reports:
            runner.start(Suggestion(trial, {"lr": 3e-3}, until=2), after=0)
        while any(len(each) < 2 for each in reports.values()):
            for event in next_events(runner):
                assert isinstance(event, Report), event.error
                reports[event.trial].append(event)
                runner.settle(event.trial, Decision.CONTINUE)
    finally:
        runner.close()
    assert {event.device for each in reports.values() for event in each} == {"cuda:0"}
    assert all(each[1].metrics["train_loss"] < each[0].metrics["train_loss"] for each in reports.values())


def test_a_trial_goes_on_from_the_gpu_to_the_cpu_and_back(job: Job, tmp_path: Path) -> None:
    found = []
    for until, devices in enumerate(("cuda:0", "cpu", "cuda:0"), start=1):
        runner = processes.build(job, tmp_path / "checkpoints", devices=devices, slots=1)
        try:
            found += train(runner, Suggestion(0, {"lr": 3e-3}, until), after=until - 1)
        finally:
            runner.close()
    assert [(event.fidelity, event.device) for event in found if isinstance(event, Report)] == [
        (1, "cuda:0"),
        (2, "cpu"),
        (3, "cuda:0"),
    ]

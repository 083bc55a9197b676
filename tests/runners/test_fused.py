from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from hpo.devices import n_cores
from hpo.errors import UserError
from hpo.runners import fused, inline
from hpo.runners._runner import Runner
from hpo.space import DatasetSpec, Fidelity, SearchSpace, Task
from hpo.space.domains import Float
from hpo.training.builder import Job
from hpo.training.checkpoints import checkpoint
from hpo.trial import Config, Crash, Decision, Report, Suggestion
from tests import toy
from tests.runners.contract import CheckpointsContract
from tests.runners.driving import Build, SharedRunner, ToyFixtures, fidelities, next_events, same, suggestion, train
from tests.runners.workers import kill_workers, wait_for, workers

HEADS = SearchSpace(
    "heads",
    {"lr": Float(1e-4, 1.0)},
    Fidelity(6),
    Task(regime="from_scratch", model="softmax_regression", dataset=DatasetSpec("digits")),
)
CONFIGS: list[Config] = [
    {"lr": 0.1, "optimizer": "sgd", "momentum": 0.9, "batch_size": 64},
    {"lr": 0.01, "optimizer": "adamw", "weight_decay": 0.1, "batch_size": 48},
    {"lr": 0.05, "optimizer": "nag", "step_size": 2, "batch_size": 64, "patience": 1},
    {"lr": 0.003, "optimizer": "adam", "label_smoothing": 0.1, "batch_size": 100},
    {"lr": 0.02, "optimizer": "adam", "batch_size": 64},
]


def train_all(runner: Runner, suggestions: list[Suggestion], after: int = 0) -> dict[int, list[Report | Crash]]:
    """Let several trials run to their ends; the events of each."""
    for each in suggestions:
        runner.start(each, after=after)
    events: dict[int, list[Report | Crash]] = {each.trial: [] for each in suggestions}
    left = {each.trial: each.until for each in suggestions}
    while left:
        for event in runner.events():
            events[event.trial].append(event)
            runner.settle(event.trial, Decision.CONTINUE)
            if isinstance(event, Crash) or event.last or event.fidelity == left[event.trial]:
                del left[event.trial]
    return events


def heads(until: int) -> list[Suggestion]:
    return [Suggestion(trial, config, until) for trial, config in enumerate(CONFIGS)]


def check_alike(ours: list[Report | Crash], theirs: list[Report | Crash]) -> None:
    assert fidelities(ours) == fidelities(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert isinstance(one, Report)
        assert isinstance(other, Report)
        assert one.metrics == pytest.approx(other.metrics, abs=1e-5)
        assert (one.last, one.device) == (other.last, other.device)


@contextmanager
def running(runner: Runner) -> Iterator[Runner]:
    try:
        yield runner
    finally:
        runner.close()


def start(job: Job, folder: Path, slots: int = 8) -> fused.Fused:
    return fused.build(job, folder, devices="cpu", slots=slots)


class TestFused(SharedRunner, CheckpointsContract):
    @pytest.fixture(scope="class")
    @classmethod
    def build(cls) -> Build:
        return start

    def test_a_trial_whose_epoch_is_not_settled_waits_while_others_go_on(self, runner: Runner) -> None:
        for trial in range(2):
            runner.start(suggestion(trial=trial, until=2), after=0)
        next_events(runner)
        runner.settle(0, Decision.CONTINUE)
        (event,) = next_events(runner)
        assert isinstance(event, Report)
        assert (event.trial, event.fidelity) == (0, 2)
        for trial in range(2):
            runner.settle(trial, Decision.STOP)

    def test_a_crash_is_that_of_one_trial_alone(self, runner: Runner) -> None:
        broken = suggestion(trial=1, until=3, fault="raise")
        events = train_all(runner, [suggestion(until=3), broken, suggestion(trial=2, until=3)])
        assert isinstance(events[1][-1], Crash)
        assert [fidelities(each) for each in events.values()] == [[1, 2, 3], [1], [1, 2, 3]]

    @pytest.mark.slow
    def test_of_trials_whose_worker_keeps_dying_only_the_culprit_crashes(self, runner: Runner) -> None:
        deadly = suggestion(trial=1, until=4, fault="die")
        events = train_all(runner, [suggestion(until=4), deadly, suggestion(trial=2, until=4)])
        crash = events[1][-1]
        assert isinstance(crash, Crash)
        assert crash.kind == "WorkerDied"
        assert "exit status -9" in crash.error
        assert [fidelities(each) for each in events.values()] == [[1, 2, 3, 4], [1], [1, 2, 3, 4]]
        assert fidelities(train(runner, suggestion(trial=3, until=1))) == [1]

    def test_a_worker_that_dies_once_costs_nobody_an_epoch(self, runner: Runner) -> None:
        events = train_all(runner, [suggestion(until=3), suggestion(trial=1, until=3, fault="die_once")])
        assert [fidelities(each) for each in events.values()] == [[1, 2, 3], [1, 2, 3]]

    @pytest.mark.slow
    def test_a_worker_that_was_killed_while_it_waited_for_decisions_or_was_idle_is_replaced(
        self, runner: Runner
    ) -> None:
        runner.start(suggestion(until=2), after=0)
        events = next_events(runner)
        kill_workers()
        runner.settle(0, Decision.CONTINUE)
        events += next_events(runner)
        assert fidelities(events) == [1, 2]
        runner.settle(0, Decision.STOP)
        kill_workers()
        assert same(train(runner, suggestion(until=2))) == same(events)


class TestWorkers(ToyFixtures):
    """What is asked of a worker of its own, or of none."""

    def test_one_worker_of_all_cores_holds_many_trials(self, job: Job, checkpoints: Path) -> None:
        with running(fused.build(job, checkpoints, devices="cpu")) as runner:
            assert (runner.free(), len(workers())) == (8, 0)
            for trial in range(3):
                runner.start(suggestion(trial=trial, until=2), after=0)
            wait_for(workers)  # a process that has just started may not have its own command line yet
            assert (runner.free(), len(workers())) == (5, 1)
            assert [event.trial for event in next_events(runner)] == [0, 1, 2]
            assert int(workers()[0].environ()["OMP_NUM_THREADS"]) == n_cores()

    def test_no_slots_are_a_mistake(self, job: Job, checkpoints: Path) -> None:
        with pytest.raises(UserError, match="slots 0"):
            start(job, checkpoints, slots=0)

    def test_a_wrong_value_of_one_trial_lets_the_others_train(self, tmp_path: Path) -> None:
        with running(start(Job(HEADS, 3, tmp_path), tmp_path / "c")) as runner:
            wrong = Suggestion(9, {"lr": -1.0}, 2)
            events = train_all(runner, [*heads(2)[:2], wrong])
        crash = events[9][-1]
        assert isinstance(crash, Crash)
        assert "`lr` must be" in crash.error
        assert [len(events[trial]) for trial in (0, 1)] == [2, 2]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return Job(HEADS, 3, tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def alone(job: Job, tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Report | Crash]]:
    """What each head reports on the inline runner."""
    with running(inline.build(job, tmp_path_factory.mktemp("alone"), devices="cpu")) as runner:
        return {each.trial: train(runner, each) for each in heads(6)}


def test_heads_report_what_they_do_on_the_inline_runner(
    job: Job, alone: dict[int, list[Report | Crash]], tmp_path: Path
) -> None:
    with running(start(job, tmp_path)) as runner:
        events = train_all(runner, heads(6))
    for trial, theirs in alone.items():
        check_alike(events[trial], theirs)


@pytest.mark.parametrize("fused_first", [True, False])
def test_a_trial_goes_on_from_the_checkpoint_of_another_runner(
    job: Job, alone: dict[int, list[Report | Crash]], tmp_path: Path, fused_first: bool
) -> None:
    trials = [each for each in heads(3) if each.trial in (0, 1, 3)]
    order: list[Callable[[], Runner]] = [
        lambda: start(job, tmp_path),
        lambda: inline.build(job, tmp_path, devices="cpu"),
    ]
    events: dict[int, list[Report | Crash]] = {each.trial: [] for each in trials}
    for after, build in zip((0, 3), order if fused_first else reversed(order), strict=True):
        with running(build()) as runner:
            for each in trials if runner.free() == 1 else [trials]:
                some = each if isinstance(each, list) else [each]
                parts = train_all(runner, [replace(one, until=after + 3) for one in some], after)
                for trial, part in parts.items():
                    events[trial] += part
    for trial, ours in events.items():
        check_alike(ours, alone[trial])


def test_killing_the_worker_at_any_epoch_loses_nothing(
    job: Job, alone: dict[int, list[Report | Crash]], tmp_path: Path
) -> None:
    draw = random.Random(5)
    events: dict[int, list[Report | Crash]] = {each.trial: [] for each in heads(6)}
    with running(start(job, tmp_path)) as runner:
        for each in heads(6):
            runner.start(each, after=0)
        while any(len(events[trial]) < len(theirs) for trial, theirs in alone.items()):
            for event in next_events(runner):
                events[event.trial].append(event)
                runner.settle(event.trial, Decision.CONTINUE)
            if draw.random() < 0.4:
                psutil.Process(workers()[0].pid).kill()
    for trial, theirs in alone.items():
        check_alike(events[trial], theirs)


def test_trials_stop_pause_and_join_between_epochs(
    job: Job, alone: dict[int, list[Report | Crash]], tmp_path: Path
) -> None:
    with running(start(job, tmp_path)) as runner:
        events: dict[int, list[Report | Crash]] = {trial: [] for trial in range(5)}
        fates: dict[tuple[int, int], Decision] = {(1, 2): Decision.STOP, (3, 1): Decision.PAUSE}
        for trial in (0, 1, 3):
            runner.start(heads(6)[trial], after=0)
        n_rounds = 0
        while len(events[0]) < 6:
            n_rounds += 1
            for event in next_events(runner):
                assert isinstance(event, Report)
                events[event.trial].append(event)
                runner.settle(event.trial, fates.get((event.trial, event.fidelity), Decision.CONTINUE))
            if n_rounds == 2:
                runner.start(heads(6)[4], after=0)
                runner.start(heads(6)[3], after=1)
        assert not checkpoint(tmp_path, 1).exists()
    for trial, ours in events.items():
        check_alike(ours, alone[trial][: len(ours)])
    assert {trial: len(ours) for trial, ours in events.items()} == {0: 6, 1: 2, 2: 0, 3: 5, 4: 4}


def test_a_toy_has_no_head_and_is_stepped_alone(tmp_path: Path) -> None:
    job = Job(toy.space(), 7, tmp_path)
    together: dict[int, Any] = {}
    with running(start(job, tmp_path / "a")) as runner:
        together = train_all(runner, [suggestion(trial=trial, until=9) for trial in range(3)])
    with running(inline.build(job, tmp_path / "b", devices="cpu")) as runner:
        for trial, events in together.items():
            assert same(events) == same(train(runner, suggestion(trial=trial, until=9)))

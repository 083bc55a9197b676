"""The contract of a runner: an implementation's test subclasses it and offers the fixture `build`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import MachineError
from hpo.runners._runner import Runner
from hpo.training.builder import Job
from hpo.training.checkpoints import best_checkpoint, checkpoint
from hpo.trial import Crash, Decision, Report
from tests import toy
from tests.runners.driving import Build, fidelities, next_events, same, suggestion, train


class RunnerContract:
    """What every runner does. Its test has the fixtures of `ToyFixtures` or `SharedRunner`, and a fixture `build`."""

    def test_a_trial_reports_each_epoch_once_in_order(self, runner: Runner) -> None:
        assert runner.free() >= 1
        events = train(runner, suggestion(until=4))
        assert fidelities(events) == [1, 2, 3, 4]

    def test_a_started_trial_takes_a_slot_until_it_is_over(self, runner: Runner) -> None:
        free = runner.free()
        runner.start(suggestion(until=2), after=0)
        assert runner.free() == free - 1
        next_events(runner)
        runner.settle(0, Decision.CONTINUE)
        assert runner.free() == free - 1
        next_events(runner)
        runner.settle(0, Decision.PAUSE)
        assert runner.free() == free

    def test_a_promoted_trial_goes_on_from_its_checkpoint(self, runner: Runner, log: Path) -> None:
        events = train(runner, suggestion(until=3)) + train(runner, suggestion(until=9), after=3)
        assert fidelities(events) == list(range(1, 10))
        assert len(log.read_text().splitlines()) == 9

    def test_pausing_changes_nothing_of_what_a_trial_reports(self, runner: Runner) -> None:
        paused = train(runner, suggestion(until=3)) + train(runner, suggestion(until=9), after=3)
        runner.settle(0, Decision.STOP)
        assert same(train(runner, suggestion(until=9))) == same(paused)

    def test_an_epoch_that_was_trained_but_not_recorded_is_reported_without_training(
        self, runner: Runner, log: Path
    ) -> None:
        first = train(runner, suggestion(until=3))
        again = train(runner, suggestion(until=3), after=1)
        assert same(again) == same(first[1:])
        assert len(log.read_text().splitlines()) == 3

    def test_the_same_trial_reports_the_same_whatever_ran_before(self, runner: Runner) -> None:
        events = train(runner, suggestion(trial=3, until=9))
        train(runner, suggestion(trial=4, until=2))
        runner.settle(3, Decision.STOP)
        assert same(train(runner, suggestion(trial=3, until=9))) == same(events)

    def test_an_exception_is_a_crash_and_the_slot_goes_on(self, runner: Runner, checkpoints: Path) -> None:
        events = train(runner, suggestion(fault="raise"))
        assert fidelities(events) == [1]
        crash = events[-1]
        assert isinstance(crash, Crash)
        assert crash.kind == "ValueError"
        assert "the toy was told to raise" in crash.error
        assert "tests/toy.py" in crash.error
        assert list(checkpoints.iterdir()) == []
        assert isinstance(train(runner, suggestion(trial=1, fault="raise"))[-1], Crash)

    def test_an_error_of_the_training_that_looks_like_one_of_a_pipe_is_a_crash_too(self, runner: Runner) -> None:
        crash = train(runner, suggestion(fault="end_of_file"))[-1]
        assert isinstance(crash, Crash)
        assert (crash.kind, crash.error.splitlines()[0]) == ("EOFError", "images.pkl is cut short")

    def test_a_trial_that_has_nothing_to_report_crashes_and_does_not_hang(self, runner: Runner) -> None:
        train(runner, suggestion(until=2))
        crash = train(runner, suggestion(until=2), after=2)[-1]
        assert isinstance(crash, Crash)
        assert "epoch 2 of it is on record" in crash.error

    @pytest.mark.parametrize("wrong", [{"patience": 0}, {"patience": 2.5}, {"threshold": -1.0}])
    def test_a_wrong_patience_or_threshold_is_named_before_anything_is_trained(
        self, runner: Runner, log: Path, wrong: dict[str, Any]
    ) -> None:
        (crash,) = train(runner, suggestion(**wrong))
        assert isinstance(crash, Crash)
        assert f"`{next(iter(wrong))}` must be" in crash.error
        assert log.read_text() == ""

    @pytest.mark.parametrize("fault", ["nan", "inf"])
    def test_a_trial_that_diverges_says_last_and_keeps_its_best_loss(self, runner: Runner, fault: str) -> None:
        first, second = train(runner, suggestion(fault=fault))
        assert isinstance(first, Report)
        assert isinstance(second, Report)
        assert second.last
        assert second.loss == first.loss
        assert not second.metrics["val_loss"] < float("inf")

    def test_patience_ends_a_trial_that_does_not_improve(self, runner: Runner) -> None:
        events = train(runner, suggestion(patience=2, threshold=0.4))
        # losses fall as 1/epoch: 1, 0.5 improves by more than 0.4; 0.33 and 0.25 do not
        assert fidelities(events) == [1, 2, 3, 4]
        assert isinstance(events[-1], Report)
        assert events[-1].last

    def test_a_report_carries_the_lowest_loss_and_the_raw_one(self, runner: Runner) -> None:
        reports = [event for event in train(runner, suggestion(until=3, fault="rise")) if isinstance(event, Report)]
        assert reports[1].metrics["val_loss"] > reports[0].loss
        assert reports[1].loss == reports[0].loss
        assert reports[2].loss == reports[2].metrics["val_loss"] < reports[0].loss

    def test_val_error_is_one_minus_accuracy(self, build: Build, job: Job, checkpoints: Path) -> None:
        runner = build(replace(job, space=replace(job.space, objective="val_error")), checkpoints)
        try:
            event = train(runner, suggestion(until=1))[0]
            assert isinstance(event, Report)
            assert event.loss == 1 - event.metrics["val_accuracy"]
        finally:
            runner.close()


class CheckpointsContract(RunnerContract):
    """What every runner does that writes checkpoints to disk. The fixtures are those of `RunnerContract`."""

    def test_a_lost_checkpoint_costs_epochs_but_no_report_comes_twice(self, runner: Runner, checkpoints: Path) -> None:
        first = train(runner, suggestion(until=4))
        checkpoint(checkpoints, 0).unlink()
        again = train(runner, suggestion(until=4), after=2)
        assert same(again) == same(first[2:])

    def test_a_report_says_how_much_memory_its_process_took_also_if_it_comes_from_a_checkpoint(
        self, runner: Runner
    ) -> None:
        first = train(runner, suggestion(until=2))
        for event in [*first, *train(runner, suggestion(until=3), after=1)]:
            assert isinstance(event, Report)
            assert event.peak_host_gib is not None
            assert 0.01 < event.peak_host_gib < 64
            assert event.peak_gpu_gib is None

    def test_a_damaged_checkpoint_is_as_good_as_a_lost_one(self, runner: Runner, checkpoints: Path) -> None:
        first = train(runner, suggestion(until=4))
        checkpoint(checkpoints, 0).write_bytes(b"half a checkpo")
        assert same(train(runner, suggestion(until=4), after=2)) == same(first[2:])

    def test_a_worker_killed_just_before_it_named_its_checkpoint_has_lost_nothing(
        self, build: Build, job: Job, checkpoints: Path, log: Path
    ) -> None:
        runner = build(job, checkpoints)
        try:
            first = train(runner, suggestion(until=3))
        finally:
            runner.close()
        checkpoint(checkpoints, 0).rename(checkpoints / ".0.pt.tmp")
        again = build(job, checkpoints)
        try:
            assert same(train(again, suggestion(until=3), after=2)) == same(first[2:])
        finally:
            again.close()
        assert len(log.read_text().splitlines()) == 3

    def test_a_stopped_trial_leaves_no_checkpoint(self, runner: Runner, checkpoints: Path) -> None:
        runner.start(suggestion(), after=0)
        next_events(runner)
        assert checkpoint(checkpoints, 0).exists()
        runner.settle(0, Decision.STOP)
        assert list(checkpoints.iterdir()) == []

    def test_a_paused_trial_keeps_its_checkpoint_until_it_is_stopped(self, runner: Runner, checkpoints: Path) -> None:
        runner.start(suggestion(until=1), after=0)
        next_events(runner)
        runner.settle(0, Decision.PAUSE)
        assert checkpoint(checkpoints, 0).exists()
        train(runner, suggestion(trial=1, until=1))
        runner.settle(0, Decision.STOP)
        assert not checkpoint(checkpoints, 0).exists()
        assert not best_checkpoint(checkpoints, 0).exists()

    def test_a_complete_trial_keeps_its_best_epoch_alone(self, runner: Runner, checkpoints: Path) -> None:
        train(runner, suggestion(until=9))
        assert [path.name for path in checkpoints.iterdir()] == [best_checkpoint(checkpoints, 0).name]

    def test_a_state_that_could_not_be_read_again_is_a_crash_at_its_first_epoch(
        self, build: Build, job: Job, checkpoints: Path
    ) -> None:
        runner = build(replace(job, trainable=toy.Unreadable), checkpoints)
        try:
            (crash,) = train(runner, suggestion())
            assert isinstance(crash, Crash)
            assert "may hold only tensors and plain Python values" in crash.error
        finally:
            runner.close()

    def test_a_checkpoint_that_cannot_be_written_is_the_machines_fault_and_no_crash(
        self, runner: Runner, checkpoints: Path
    ) -> None:
        train(runner, suggestion(until=1))
        checkpoint(checkpoints, 1).mkdir()  # in the way of the file, as nothing else stops a root user
        runner.start(suggestion(trial=1), after=0)
        with pytest.raises(MachineError, match=r"1\.pt: the checkpoint cannot be written or read"):
            next_events(runner)

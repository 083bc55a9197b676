from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.errors import HpoError, TaskError
from hpo.runners._known_trials import Curve, Curves, KnownCurves
from hpo.runners._runner import Runner
from hpo.runners.simulated import Simulated
from hpo.training.builder import Job
from hpo.trial import Config, Decision, Report
from tests import toy
from tests.runners.contract import RunnerContract
from tests.runners.driving import ToyFixtures, fidelities, next_events, same, suggestion, train


def toy_curve(job: Job) -> Curve:
    """The learning curves of the toy, which writes each epoch that is played to its log."""

    def curve(config: Config, epoch: int) -> Mapping[str, float]:
        training = toy.Curve({**job.space.fixed, **config})
        training.epoch, training.seed = epoch - 1, 0.0
        return training.step()

    return curve


class TestSimulated(ToyFixtures, RunnerContract):
    @pytest.fixture
    def build(self) -> Callable[[Job, Path], Runner]:
        def build(job: Job, checkpoints: Path) -> Runner:
            checkpoints.mkdir()  # which stays empty
            return Simulated(job.space, Curves(job.space, KnownCurves(toy_curve(job))), slots=2)

        return build

    def test_waiting_for_nothing_is_an_error(self, runner: Runner) -> None:
        with pytest.raises(HpoError, match="no trial is running"):
            runner.events()

    def test_a_new_runner_goes_on_where_the_record_ends(
        self, runner: Runner, build: Callable[[Job, Path], Runner], job: Job, tmp_path: Path
    ) -> None:
        first = train(runner, suggestion(until=4))
        again = build(job, tmp_path / "others")
        assert same(train(again, suggestion(until=4), after=2)) == same(first[2:])

    def test_a_curve_without_the_objective_ends_the_search(self) -> None:
        runner = Simulated(toy.space(), Curves(toy.space(), KnownCurves(lambda config, epoch: {"accuracy": 0.5})))
        runner.start(suggestion(), after=0)
        with pytest.raises(TaskError, match="val_loss"):
            runner.events()


def steady(**seconds: float) -> Simulated:
    """A runner with two slots, on which an epoch of the configurations x=0.25 and x=0.75 takes so many seconds."""
    lengths = {0.25: seconds.get("short", 1.0), 0.75: seconds.get("long", 1.0)}
    space = replace(toy.space(), fixed={})
    curves = KnownCurves(
        lambda config, epoch: {"val_loss": 1 / epoch},
        seconds=lambda config: lengths[float(config["x"])],  # type: ignore[arg-type]
    )
    return Simulated(space, Curves(space, curves), slots=2)


def in_order(runner: Simulated, n: int) -> list[tuple[int, int, float]]:
    """The trial, the epoch and the simulated time of the next events."""
    found = []
    for _ in range(n):
        (event,) = next_events(runner)
        assert isinstance(event, Report)
        found.append((event.trial, event.fidelity, runner.now))
        runner.settle(event.trial, Decision.CONTINUE)
    return found


def test_events_come_in_the_order_of_simulated_time() -> None:
    runner = steady(short=1.0, long=2.5)
    runner.start(suggestion(0, x=0.75), after=0)
    runner.start(suggestion(1, x=0.25), after=0)
    assert in_order(runner, 5) == [(1, 1, 1.0), (1, 2, 2.0), (0, 1, 2.5), (1, 3, 3.0), (1, 4, 4.0)]


def test_of_two_events_at_the_same_time_that_of_the_earlier_start_comes_first() -> None:
    runner = steady()
    runner.start(suggestion(0, x=0.75), after=0)
    runner.start(suggestion(1, x=0.25), after=0)
    assert in_order(runner, 4) == [(0, 1, 1.0), (1, 1, 1.0), (0, 2, 2.0), (1, 2, 2.0)]


def test_a_promoted_trial_costs_only_its_new_epochs() -> None:
    runner = steady()
    assert fidelities(train(runner, suggestion(until=3, x=0.25))) == [1, 2, 3]
    assert fidelities(train(runner, suggestion(until=5, x=0.25), after=3)) == [4, 5]
    assert runner.now == 5


def test_an_epoch_that_was_played_before_costs_no_time_again() -> None:
    runner = steady()
    train(runner, suggestion(until=3, x=0.25))
    train(runner, suggestion(until=3, x=0.25), after=1)
    assert runner.now == 3


@pytest.mark.parametrize("until", [3, 9])
def test_of_a_trial_that_was_stopped_or_is_complete_nothing_is_kept(until: int) -> None:
    runner = steady()
    train(runner, suggestion(until=until, x=0.25))
    runner.settle(0, Decision.STOP if until < 9 else Decision.CONTINUE)
    train(runner, suggestion(until=until, x=0.25))
    assert runner.now == 2 * until


def test_a_trial_that_waits_for_a_decision_does_not_train() -> None:
    runner = steady()
    runner.start(suggestion(x=0.25), after=0)
    runner.events()
    assert list(runner.events()) == []


def test_a_runner_without_slots_is_refused() -> None:
    with pytest.raises(HpoError, match="`slots` must be at least 1, but is 0"):
        Simulated(toy.space(), Curves(toy.space(), KnownCurves(lambda config, epoch: {})), slots=0)

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.record import Decisions, History, State, Trial, shown_state
from hpo.trial import Crash, Decision, Report, Suggestion


def report(trial: int, fidelity: int, loss: float, *, last: bool = False, **metrics: float) -> Report:
    return Report(trial, fidelity, loss, {"val_loss": loss, **metrics}, 0.1, last)


@pytest.fixture
def history() -> History:
    history = History(high=9)
    for trial in range(3):
        history.append(Suggestion(trial, {"x": trial}, until=3))
    return history


def test_a_suggested_trial_runs_from_epoch_zero(history: History) -> None:
    assert history.running == {0, 1, 2}
    assert history.trials[0].epoch == 0
    assert history.trials[0].loss == math.inf
    assert history.trials[0].best is None


def test_a_trial_at_the_top_rung_is_complete(history: History) -> None:
    history.append(report(0, 9, 1.0))
    assert history.trials[0].state is State.COMPLETE
    assert 0 not in history.running


def test_a_trial_that_ends_itself_is_complete(history: History) -> None:
    history.append(report(0, 2, 1.0, last=True))
    assert history.trials[0].state is State.COMPLETE


def test_a_paused_trial_runs_again_when_it_is_promoted(history: History) -> None:
    history.append(report(0, 3, 1.0))
    history.append(Decisions(0, 3, {0: Decision.PAUSE}))
    paused = history.trials[0].state
    history.append(Suggestion(0, {"x": 0}, until=9))
    assert (paused, history.trials[0].state) == (State.PAUSED, State.RUNNING)
    assert history.trials[0].until == 9


def test_one_event_can_settle_several_trials(history: History) -> None:
    history.append(Decisions(2, 3, {0: Decision.STOP, 1: Decision.STOP, 2: Decision.PAUSE}))
    states = [history.trials[number].state for number in range(3)]
    assert states == [State.STOPPED, State.STOPPED, State.PAUSED]


def test_a_complete_trial_stays_complete_when_it_is_settled(history: History) -> None:
    history.append(report(0, 9, 1.0))
    history.append(Decisions(0, 9, {0: Decision.STOP}))
    assert history.trials[0].state is State.COMPLETE


def test_the_best_epoch_is_the_first_that_reached_the_lowest_loss(history: History) -> None:
    for epoch, loss in enumerate([3.0, 1.0, 1.0], start=1):
        history.append(report(0, epoch, loss))
    best = history.trials[0].best
    assert best is not None
    assert best.fidelity == 2


def test_a_crashed_incumbent_gives_way_to_the_next_best(history: History) -> None:
    history.append(report(0, 1, 1.0))
    history.append(report(1, 1, 2.0))
    assert history.incumbent is history.trials[0]
    history.append(Crash(0, "ValueError", "no"))
    assert history.incumbent is history.trials[1]
    assert [trial.number for trial in history.ranked()] == [1]


def test_no_crashed_trial_is_the_best_when_the_best_begins_another_phase(history: History) -> None:
    history.append(report(0, 1, 1.0))
    history.append(Crash(0, "ValueError", "no"))
    history.append(report(1, 1, 2.0))
    history.append(report(2, 1, 3.0))
    assert history.incumbent is history.trials[1]
    history.append(report(1, 2, 4.0, phases_left=0.0))
    assert history.incumbent is history.trials[2]


def test_trials_without_a_finite_loss_are_not_ranked(history: History) -> None:
    history.append(report(0, 1, math.inf, last=True))
    history.append(report(1, 1, 2.0))
    assert [trial.number for trial in history.ranked()] == [1]
    assert history.incumbent is history.trials[1]


def test_equal_losses_rank_the_earlier_trial_first(history: History) -> None:
    for trial in (2, 0, 1):
        history.append(report(trial, 1, 1.0))
    assert [trial.number for trial in history.ranked()] == [0, 1, 2]


def test_a_report_ends_a_row_of_crashes(history: History) -> None:
    history.append(Crash(0, "E", ""))
    history.append(Crash(1, "E", ""))
    assert history.crashes_in_a_row == 2
    history.append(report(2, 1, 1.0))
    assert (history.crashes_in_a_row, history.n_crashes) == (0, 2)


def test_stopping_saves_the_epochs_up_to_the_top_rung(history: History) -> None:
    history.append(report(0, 3, 1.0))
    history.append(Decisions(0, 3, {0: Decision.STOP}))
    history.append(report(1, 9, 1.0))
    history.append(report(2, 3, 1.0))
    history.append(Decisions(2, 3, {2: Decision.PAUSE}))
    assert history.n_saved() == 6
    assert history.n_saved(closed=True) == 12


def test_a_trial_stands_for_the_phase_of_training_that_it_is_in() -> None:
    history = History(high=9)
    history.append(Suggestion(0, {"x": 0.5}, until=9))
    history.append(Suggestion(1, {"x": 0.6}, until=9))
    history.append(Report(1, 1, 0.3, {"val_loss": 0.3}, 1.0, last=False))
    for epoch, (loss, left) in enumerate([(0.2, 1.0), (0.1, 1.0), (0.5, 0.0), (0.4, 0.0)], start=1):
        history.append(Report(0, epoch, loss, {"val_loss": loss, "phases_left": left}, 1.0, last=False))
        assert history.incumbent is history.trials[0 if epoch < 3 else 1]
    best = history.trials[0].best
    assert (history.trials[0].loss, best and best.fidelity) == (0.4, 4)


def test_an_earlier_phase_that_reached_the_same_loss_is_not_the_stopping_epoch() -> None:
    history = History(high=9)
    history.append(Suggestion(0, {"x": 0.5}, until=9))
    for epoch, left in enumerate([1.0, 1.0, 0.0, 0.0], start=1):
        history.append(Report(0, epoch, 0.1, {"val_loss": 0.1, "phases_left": left}, 1.0, last=False))
    best = history.trials[0].best
    assert best is not None
    assert best.fidelity == 3


BAD = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("bad", BAD)
def test_a_loss_that_is_not_finite_is_never_the_best(history: History, bad: float) -> None:
    history.append(report(0, 1, bad))
    assert (history.incumbent, history.ranked(), history.trials[0].loss) == (None, [], math.inf)
    history.append(report(1, 1, 1.0))
    history.append(report(1, 2, bad))
    assert history.incumbent is history.trials[1]
    best = history.trials[1].best
    assert (history.trials[1].loss, best and best.fidelity) == (1.0, 1)


def test_the_lower_validation_loss_decides_between_equal_errors() -> None:
    history = History(high=9, objective="val_error")
    for trial, losses in enumerate([[0.9, 0.8], [0.7, 0.6], [0.7, math.nan], [0.6]]):
        history.append(Suggestion(trial, {"x": trial}, until=9))
        for epoch, loss in enumerate(losses, start=1):
            history.append(Report(trial, epoch, 0.5, {"val_loss": loss, "val_error": 0.5}, 0.1))
    assert [trial.number for trial in history.ranked()] == [1, 3, 2, 0]
    assert [trial.best and trial.best.fidelity for trial in history.trials.values()] == [2, 2, 1, 1]


METRICS = st.fixed_dictionaries(
    {"val_loss": st.sampled_from([0.5, 1.0, *BAD]), "val_error": st.sampled_from([0.25, 0.5, *BAD])},
    optional={"phases_left": st.sampled_from([0.0, 1.0])},
)


@pytest.mark.parametrize("objective", ["val_loss", "val_error"])
@given(events=st.lists(st.tuples(st.integers(0, 3), METRICS | st.none()), max_size=20))
def test_the_incumbent_is_always_the_first_of_the_ranking(objective: str, events: list[Any]) -> None:
    history = History(high=99, objective=objective)
    for number in range(4):
        history.append(Suggestion(number, {}, until=99))
    for number, metrics in events:
        trial = history.trials[number]
        if trial.crash is not None:
            continue
        if metrics is None:
            history.append(Crash(number, "E", ""))
        else:
            history.append(Report(number, trial.epoch + 1, metrics[objective], metrics, 0.1))
        assert history.incumbent is next(iter(history.ranked()), None)


def test_a_trial_that_no_process_trains_is_shown_as_interrupted_until_it_has_an_epoch() -> None:
    trial = Trial(0, {"x": 0.5}, 9, 0, {})
    assert shown_state(trial, closed=False, searching=True) is State.RUNNING
    assert shown_state(trial, closed=False, searching=False) is State.INTERRUPTED
    trial.add(Report(0, 1, 0.5, {"val_loss": 0.5}, 0.1))
    assert shown_state(trial, closed=False, searching=False) is State.PAUSED
    assert shown_state(trial, closed=True, searching=False) is State.STOPPED

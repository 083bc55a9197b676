from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.record import History
from hpo.results.best_so_far import BestSoFar
from hpo.trial import Crash, Report, Suggestion

LOSSES = st.lists(st.floats(0, 9) | st.sampled_from([math.nan, math.inf, -math.inf]), max_size=20)


def history_of(*curves: list[float], phases_left: int = 0) -> History:
    """The history of trials that train one after the other."""
    history = History(high=100)
    for trial, curve in enumerate(curves):
        history.append(Suggestion(trial, {"x": 0.5}, until=100))
        for epoch, loss in enumerate(curve, start=1):
            history.append(Report(trial, epoch, loss, {"val_loss": loss, "phases_left": phases_left}, 1.0))
    return history


def test_the_course_is_the_lowest_objective_so_far() -> None:
    curve = BestSoFar(history_of([3.0, 2.0, 2.5], [4.0, 1.0]))
    assert curve.values == [3.0, 2.0, 2.0, 2.0, 1.0]
    assert (curve.best, curve.n_epochs) == (1.0, 5)
    assert [curve.after(epochs) for epochs in (1, 4, 5, 99)] == [3.0, 2.0, 1.0, 1.0]


@pytest.mark.parametrize(("value", "epochs"), [(9.0, 1), (3.0, 1), (2.0, 2), (1.5, 5), (1.0, 5), (0.5, None)])
def test_the_epochs_until_a_value_are_counted_over_all_trials(value: float, epochs: int | None) -> None:
    assert BestSoFar(history_of([3.0, 2.0, 2.5], [4.0, 1.0])).epochs_until(value) == epochs


@given(LOSSES)
def test_a_value_is_reached_at_the_first_epoch_that_has_it(losses: list[float]) -> None:
    curve = BestSoFar(history_of(losses))
    finite = [loss for loss in losses if math.isfinite(loss)]
    assert curve.best == min(finite, default=math.inf)
    for loss in finite:
        first = next(epoch for epoch, other in enumerate(losses, start=1) if math.isfinite(other) and other <= loss)
        assert curve.epochs_until(loss) == first


def test_a_crashed_trial_counts_neither_with_its_epochs_nor_with_its_values() -> None:
    history = history_of([3.0], [0.5, 0.25], [2.0])
    history.append(Crash(1, "ValueError", "no"))
    assert BestSoFar(history).values == [3.0, 2.0]


def test_epochs_of_a_phase_that_prepares_for_another_count_without_their_values() -> None:
    assert BestSoFar(history_of([0.1, 0.2], phases_left=1)).values == [math.inf, math.inf]


def test_a_search_without_an_epoch_reaches_nothing() -> None:
    curve = BestSoFar(history_of())
    assert (curve.best, curve.after(3), curve.epochs_until(1.0)) == (math.inf, math.inf, None)

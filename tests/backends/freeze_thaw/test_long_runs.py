"""What long runs say of early epochs, and when they are due."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from hpo.backends._freeze_thaw import long_runs
from hpo.backends._freeze_thaw.long_runs import LongRun
from hpo.backends._freeze_thaw.trials import Trials
from hpo.trial import Report
from tests.backends.freeze_thaw.curves import Curve, begin, train, trained


def crossing(number: int, first: int) -> Curve:
    """Trial 0 is the best from epoch `first` on, and the worst before."""
    return lambda epoch: 1 + (number if epoch >= first else -number) / 10


def with_long_runs(n_trials: int, first: int) -> Trials:
    """Trials whose long runs have ended."""
    curves = [crossing(number, first) for number in range(n_trials)]
    trials = trained(curves, 3)
    for number, curve in enumerate(curves):
        train(trials, number, 26, curve, long_runs.REASON)
    return trials


def test_without_long_runs_early_epochs_are_believed() -> None:
    found = long_runs.belief(trained([crossing(number, 1) for number in range(8)], 3))
    assert found == long_runs.Belief(0, long_runs.PRIOR_CONCORDANCE, 0)


def test_one_pair_in_the_wrong_order_hides_the_epochs_before_it_is_right() -> None:
    found = long_runs.belief(with_long_runs(2, first=10))
    assert (found.first_epoch, found.n_runs) == (13, 2)
    assert found.concordance == pytest.approx((1 + 0.9 * 2) / 3)


def test_a_pair_counts_as_much_as_its_late_values_differ() -> None:
    """Trial 0 ends far below the others, which end alike. It begins lowest, and they in the wrong order."""
    early, late = (1.0, 2.3, 2.2, 2.1), (0.5, 2.1, 2.11, 2.12)
    curves: list[Curve] = [lambda epoch, n=n: (early if epoch < 10 else late)[n] for n in range(4)]  # type: ignore[misc]
    trials = trained(curves, 3)
    for number, curve in enumerate(curves):
        train(trials, number, 26, curve, long_runs.REASON)
    found = long_runs.belief(trials)
    assert found.first_epoch == 0
    assert found.concordance > long_runs.PRIOR_CONCORDANCE


@pytest.mark.parametrize("value", [3.0, 1e6, math.inf])
def test_one_bad_long_run_does_not_outweigh_all_other_pairs(value: float) -> None:
    curves = [crossing(number, 10) for number in range(4)]
    curves.append(lambda epoch: 3.0 if epoch < 10 else value)
    trials = trained(curves, 3)
    for number, curve in enumerate(curves):
        train(trials, number, 26, curve, long_runs.REASON)
    found = long_runs.belief(trials)
    assert found.first_epoch == 13 or found.concordance < long_runs.DOUBT


def test_epochs_that_order_four_long_runs_wrongly_are_ignored() -> None:
    assert long_runs.belief(with_long_runs(4, first=10)).first_epoch == 13


def test_epochs_that_order_long_runs_rightly_are_used() -> None:
    found = long_runs.belief(with_long_runs(4, first=1))
    assert found.first_epoch == 0
    assert found.concordance > long_runs.PRIOR_CONCORDANCE


def test_if_no_early_epoch_can_be_believed_only_those_from_the_end_of_the_long_runs_are_used() -> None:
    assert long_runs.belief(with_long_runs(5, first=26)).first_epoch == 26


def test_trials_that_end_equal_say_nothing() -> None:
    trials = trained([lambda epoch: 1.0] * 4, 3)
    for number in range(4):
        train(trials, number, 26, lambda epoch: 1.0, long_runs.REASON)
    assert long_runs.belief(trials).concordance == long_runs.PRIOR_CONCORDANCE


def due(trials: Trials, seed: int = 0) -> LongRun | None:
    return long_runs.long_run(trials, long_runs.belief(trials), 8, 0, np.random.default_rng(seed))


def test_the_first_long_run_is_that_of_the_best_trial() -> None:
    assert due(trained([crossing(number, 1) for number in range(14)], 3)) == LongRun(0, 26)


def challenged(curves: Sequence[Curve]) -> tuple[Trials, dict[int, int]]:
    """14 trials after the long runs of the leader and all challengers, and the last epoch of each challenger."""
    trials = trained([*curves, *[curves[-1]] * 6], 3)
    first = due(trials)
    assert first is not None
    train(trials, first.trial, first.until, curves[first.trial], long_runs.REASON)
    last: dict[int, int] = {}
    while (run := due(trials)) is not None and len({*last, run.trial}) <= long_runs.N_CHALLENGERS:
        assert run.trial < 8
        train(trials, run.trial, run.until, curves[run.trial], long_runs.REASON)
        last[run.trial] = run.until
    return trials, last


def test_a_challenger_of_the_worse_half_stops_at_the_next_rung_if_it_gets_no_nearer() -> None:
    trials, last = challenged([crossing(number, 1) for number in range(8)])
    assert len(last) == long_runs.N_CHALLENGERS
    assert set(last) <= {4, 5, 6, 7}
    assert set(last.values()) == {5}
    assert long_runs.belief(trials).first_epoch == 0
    assert long_runs.belief(trials).n_runs == 4


def test_a_challenger_that_gets_nearer_too_slowly_stops() -> None:
    """By half of the epochs, a third of the distance would be left."""
    slow: list[Curve] = [lambda e, n=n: 1 + n * (1 - math.log(e / 3) / math.log(26 / 3) * 2 / 3) for n in range(8)]  # type: ignore[misc]
    assert set(challenged(slow)[1].values()) == {5}


def test_a_challenger_that_gets_nearer_fast_enough_trains_until_it_has_passed_the_leader() -> None:
    """The order turns round at epoch 15."""
    turning: list[Curve] = [lambda e, n=n: 5 + n * math.log(15 / e) for n in range(8)]  # type: ignore[misc]
    trials, last = challenged(turning)
    assert set(last.values()) == {26}
    assert long_runs.belief(trials).first_epoch == 21


def test_challengers_that_diverge_leave_no_traceback() -> None:
    curves: list[Curve] = [lambda e, n=n: math.nan if e > 3 and n else 1.0 + n for n in range(8)]  # type: ignore[misc]
    trials, last = challenged(curves)
    assert set(last.values()) == {5}
    assert long_runs.belief(trials).first_epoch == 0


def test_no_long_run_is_due_before_enough_epochs_are_spent() -> None:
    trials = trained([crossing(number, 1) for number in range(8)], 3)
    assert due(trials) is None


def test_a_doubt_makes_another_long_run_due_once_the_last_has_ended() -> None:
    """Trial 1 begins as the best of four, and ends as the second."""
    early, late = (2.0, 1.0, 3.0, 3.5), (1.0, 2.0, 2.155, 2.02)
    curves: list[Curve] = [lambda epoch, n=n: (early if epoch < 20 else late)[n % 4] for n in range(40)]  # type: ignore[misc]
    trials = trained(curves, 3)
    for number in range(4):
        train(trials, number, 26, curves[number], long_runs.REASON)
    assert long_runs.belief(trials).concordance < long_runs.DOUBT
    run = due(trials)
    assert run is not None
    assert run.trial in range(4, 8)
    trials.start(run.trial, run.until, long_runs.REASON)
    assert due(trials) is None


def test_while_epochs_are_ignored_the_first_trials_have_the_next_long_runs() -> None:
    curves = [crossing(number, 10) for number in range(30)]
    trials = trained(curves, 3)
    for number in (0, 1, 6, 29):
        train(trials, number, 26, curves[number], long_runs.REASON)
    for number in range(8, 29):
        train(trials, number, 25, curves[number])
    for seed in range(5):
        run = due(trials, seed)
        assert run is not None
        assert run.trial in range(2, 8)


def test_without_doubt_no_further_long_run_is_due_early() -> None:
    curves = [crossing(number, 1) for number in range(30)]
    trials = trained(curves, 3)
    for number in (0, 4, 5, 29):
        train(trials, number, 26, curves[number], long_runs.REASON)
    assert due(trials) is None


def test_a_long_run_is_not_cut_short_by_the_end_of_another_ones_patience() -> None:
    """A trial that ended itself counts with its value to the end."""
    trials = trained([crossing(number, 1) for number in range(14)], 3)
    train(trials, 0, 26, crossing(0, 1), long_runs.REASON)
    trials.start(7, 26, long_runs.REASON)
    trials.report(Report(7, 4, 1.7, {"val_loss": 1.7}, 1.0, last=True))
    assert long_runs.belief(trials).n_runs == 2
    assert long_runs.belief(trials).concordance > long_runs.PRIOR_CONCORDANCE


def diverge(trials: Trials, number: int, epoch: int) -> None:
    """Begin a long run that diverges at an epoch."""
    trials.start(number, 26, long_runs.REASON)
    trials.report(Report(number, epoch, math.inf, {"val_loss": math.nan}, 1.0, last=True))


def test_another_trial_leads_if_the_leader_diverges() -> None:
    trials = trained([crossing(number, 1) for number in range(14)], 3)
    diverge(trials, 0, 4)
    assert due(trials) == LongRun(1, 26)
    assert long_runs.belief(trials).first_epoch == 0


def test_another_trial_leads_if_the_leader_crashes() -> None:
    trials = trained([crossing(number, 1) for number in range(14)], 3)
    trials.start(0, 26, long_runs.REASON)
    trials.crash(0)
    assert due(trials) == LongRun(1, 26)


def test_a_challenger_does_not_overtake_a_leader_that_still_trains() -> None:
    """Up to epoch 4 both are known, and the challenger gets nearer fast. What comes after is not known yet."""
    curves: list[Curve] = [lambda e, n=n: 5 + n * math.log(15 / e) for n in range(14)]  # type: ignore[misc]
    trials = trained(curves, 3)
    trials.start(0, 26, long_runs.REASON)
    trials.report(Report(0, 4, 5.0, {"val_loss": 5.0}, 1.0))
    begun = []
    while (run := due(trials)) is not None:
        begun.append(run)
        train(trials, run.trial, run.until, curves[run.trial], long_runs.REASON)
    assert len(begun) == long_runs.N_CHALLENGERS
    assert {run.until for run in begun} == {5}


def test_long_runs_reach_the_first_epoch_that_the_model_sees() -> None:
    trials = trained([crossing(number, 1) for number in range(8)], 5, high=20)
    run = long_runs.long_run(trials, long_runs.belief(trials), 8, 13, np.random.default_rng(0))
    assert run == LongRun(0, 13)


def test_all_epochs_are_used_if_the_first_rung_lies_behind_the_end_of_long_runs() -> None:
    assert long_runs.belief(begin(3, high=4)).first_epoch == 0

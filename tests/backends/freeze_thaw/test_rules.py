"""What long runs say of early epochs, and when they are due."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hpo.backends._freeze_thaw import rules
from hpo.backends._freeze_thaw.trials import Trials
from tests.backends.freeze_thaw.curves import Curve, begin, train, trained


def crossing(number: int, first: int) -> Curve:
    """Trial 0 is the best from epoch `first` on, and the worst before."""
    return lambda epoch: 1 + (number if epoch >= first else -number) / 10


def long_runs(n_trials: int, first: int) -> Trials:
    """Trials whose long runs have ended."""
    curves = [crossing(number, first) for number in range(n_trials)]
    trials = trained(curves, 3)
    for number, curve in enumerate(curves):
        train(trials, number, 26, curve, rules.LONG_RUN)
    return trials


def test_without_long_runs_early_epochs_are_believed() -> None:
    found = rules.belief(trained([crossing(number, 1) for number in range(8)], 3))
    assert found == rules.Belief(0, rules.PRIOR_CONCORDANCE, 0)


def test_one_pair_in_the_wrong_order_hides_the_epochs_before_it_is_right() -> None:
    found = rules.belief(long_runs(2, first=10))
    assert (found.first_epoch, found.n_runs) == (13, 2)
    assert found.concordance == pytest.approx((1 + 0.9 * 2) / 3)


def test_a_pair_counts_as_much_as_its_late_values_differ() -> None:
    """Trial 0 ends far below the others, which end alike. It begins lowest, and they in the wrong order."""
    early, late = (1.0, 2.3, 2.2, 2.1), (0.5, 2.1, 2.11, 2.12)
    curves: list[Curve] = [lambda epoch, n=n: (early if epoch < 10 else late)[n] for n in range(4)]  # type: ignore[misc]
    trials = trained(curves, 3)
    for number, curve in enumerate(curves):
        train(trials, number, 26, curve, rules.LONG_RUN)
    found = rules.belief(trials)
    assert found.first_epoch == 0
    assert found.concordance > rules.PRIOR_CONCORDANCE


@pytest.mark.parametrize("value", [3.0, 1e6, math.inf])
def test_one_bad_long_run_does_not_outweigh_all_other_pairs(value: float) -> None:
    curves = [crossing(number, 10) for number in range(4)]
    curves.append(lambda epoch: 3.0 if epoch < 10 else value)
    trials = trained(curves, 3)
    for number, curve in enumerate(curves):
        train(trials, number, 26, curve, rules.LONG_RUN)
    found = rules.belief(trials)
    assert found.first_epoch == 13 or found.concordance < rules.DOUBT


def test_epochs_that_order_four_long_runs_wrongly_are_ignored() -> None:
    assert rules.belief(long_runs(4, first=10)).first_epoch == 13


def test_epochs_that_order_long_runs_rightly_are_used() -> None:
    found = rules.belief(long_runs(4, first=1))
    assert found.first_epoch == 0
    assert found.concordance > rules.PRIOR_CONCORDANCE


def test_if_no_early_epoch_can_be_believed_only_those_from_the_end_of_the_long_runs_are_used() -> None:
    assert rules.belief(long_runs(5, first=26)).first_epoch == 26


def test_trials_that_end_equal_say_nothing() -> None:
    trials = trained([lambda epoch: 1.0] * 4, 3)
    for number in range(4):
        train(trials, number, 26, lambda epoch: 1.0, rules.LONG_RUN)
    assert rules.belief(trials).concordance == rules.PRIOR_CONCORDANCE


def test_the_first_long_runs_are_the_best_trial_and_one_of_the_worse_half() -> None:
    curves = [crossing(number, 1) for number in range(14)]
    trials = trained(curves, 3)
    rng = np.random.default_rng(0)
    assert rules.long_run(trials, rules.belief(trials), 8, rng) == 0
    train(trials, 0, 26, curves[0], rules.LONG_RUN)
    assert rules.long_run(trials, rules.belief(trials), 8, rng) in range(7, 14)


def test_no_long_run_is_due_before_enough_epochs_are_spent() -> None:
    trials = trained([crossing(number, 1) for number in range(8)], 3)
    assert rules.long_run(trials, rules.belief(trials), 8, np.random.default_rng(0)) is None


def test_a_doubt_makes_another_long_run_due_once_the_last_has_ended() -> None:
    """Trial 1 begins as the best of three, and ends as the second."""
    early, late = (2.0, 1.0, 3.0), (1.0, 2.0, 2.155)
    curves: list[Curve] = [lambda epoch, n=n: (early if epoch < 20 else late)[n % 3] for n in range(40)]  # type: ignore[misc]
    trials = trained(curves, 3)
    for number in range(3):
        train(trials, number, 26, curves[number], rules.LONG_RUN)
    rng = np.random.default_rng(0)
    due = rules.long_run(trials, rules.belief(trials), 8, rng)
    assert due is not None
    assert due in range(3, 8)
    trials.start(due, 26, rules.LONG_RUN)
    assert rules.long_run(trials, rules.belief(trials), 8, rng) is None


def test_while_epochs_are_ignored_the_first_trials_have_the_next_long_runs() -> None:
    curves = [crossing(number, 10) for number in range(30)]
    trials = trained(curves, 3)
    for number in (0, 29):
        train(trials, number, 26, curves[number], rules.LONG_RUN)
    for number in range(8, 29):
        train(trials, number, 21, curves[number])
    for seed in range(5):
        assert rules.long_run(trials, rules.belief(trials), 8, np.random.default_rng(seed)) in range(1, 8)


def test_without_doubt_no_third_long_run_is_due_early() -> None:
    curves = [crossing(number, 1) for number in range(30)]
    trials = trained(curves, 3)
    for number in (0, 29):
        train(trials, number, 26, curves[number], rules.LONG_RUN)
    assert rules.long_run(trials, rules.belief(trials), 8, np.random.default_rng(0)) is None


def test_all_epochs_are_used_if_the_first_rung_lies_behind_the_end_of_long_runs() -> None:
    assert rules.belief(begin(3, high=4)).first_epoch == 0

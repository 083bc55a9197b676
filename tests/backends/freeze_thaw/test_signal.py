"""Whether early epochs are seen to tell configurations apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from hpo.backends._freeze_thaw.signal import Signal, signal, tells_apart
from hpo.backends._freeze_thaw.trials import Trials
from tests.backends.freeze_thaw.curves import Curve, begin, train, trained


def noisy(seed: int, size: float = 0.01) -> Curve:
    """The same value at every epoch, apart from noise."""
    noise = np.random.default_rng(seed).standard_normal(60) * size
    return lambda epoch: float(1 + noise[epoch])


def falling(final: float) -> Curve:
    return lambda epoch: final + 1 / epoch


def silent(seed: int, final: float, first: int) -> Curve:
    """Noise before epoch `first`, and the final value from then on."""
    return lambda epoch: noisy(seed)(epoch) if epoch < first else final


def checked(curves: Sequence[Curve]) -> Trials:
    """A trial for each curve, trained as far as the check needs."""
    trials = trained(curves, 3)
    while needed := signal(trials, 8).needed:
        rung = signal(trials, 8).epoch
        for number in needed:
            train(trials, number, rung, curves[number])
    return trials


def test_curves_that_differ_from_the_first_rung_on_need_no_further_epochs() -> None:
    assert signal(trained([falling(final / 10) for final in range(8)], 3), 8) == Signal(0)


def test_if_the_first_rung_shows_noise_only_four_trials_train_to_the_next_one() -> None:
    assert signal(trained([noisy(seed) for seed in range(8)], 3), 8) == Signal(5, (0, 1, 2, 3))


def test_trials_of_an_earlier_study_are_not_among_the_first_ones() -> None:
    trials = begin(9, 52)
    for number in range(9):
        train(trials, number, 3, noisy(number), "earlier study" if number == 2 else "")
    assert signal(trials, 8) == Signal(5, (0, 1, 3, 4))


def test_the_first_rung_that_tells_trials_apart_is_the_first_epoch_that_counts() -> None:
    curves = [silent(number, 0.2 + number / 10, 6) for number in range(8)]
    trials = checked(curves)
    assert signal(trials, 8) == Signal(8)
    assert [trial.epoch for trial in trials] == [8] * 4 + [3] * 4


def test_the_check_ends_at_half_of_the_last_epoch() -> None:
    curves = [noisy(seed) for seed in range(8)]
    trials = checked(curves)
    assert signal(trials, 8) == Signal(34)
    assert max(trial.epoch for trial in trials) == 21


def test_a_trial_that_diverged_is_not_compared() -> None:
    curves: list[Curve] = [noisy(seed) for seed in range(8)]
    curves[1] = lambda epoch: 1.0 if epoch < 2 else float("nan")
    assert signal(trained(curves, 3), 8) == Signal(5, (0, 2, 3))


def test_with_few_epochs_every_rung_counts() -> None:
    assert signal(trained([noisy(seed) for seed in range(8)], 3, high=5), 8) == Signal(0)


@pytest.mark.parametrize(("shift", "apart"), [(0.0, False), (0.1, True)])
def test_a_common_trend_is_neither_noise_nor_a_difference(shift: float, apart: bool) -> None:
    noise = np.random.default_rng(0).standard_normal((8, 5)) * 0.01
    trend = np.array([2.0, 1.8, 1.6, 1.4, 1.2])
    assert tells_apart(trend + noise + shift * np.arange(8)[:, None]) is apart


def test_curves_that_fall_at_different_speeds_differ() -> None:
    speeds = np.linspace(0.5, 1.5, 8)[:, None]
    assert tells_apart(np.arange(1, 4) ** -speeds)
    assert not tells_apart(1 + np.random.default_rng(0).standard_normal((8, 3)) * 0.01)

"""The corrected estimate of a chosen trial, against simulations whose truth is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.simulated_studies import simulated
from hpo.statistics import Chosen, TrialValues, chosen, intervals_of_trials

Floats = NDArray[np.float32]


def studies(truth: str, n_trials: int, n_images: int, n_studies: int) -> list[tuple[Chosen, float, float]]:
    """What is said of the best trial of each study, its recorded error and its true one."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(n_studies):
        study = simulated(n_trials, n_images, truth, 0.3, rng)
        means = study.errors.mean(axis=1)
        best = int(np.lexsort((study.losses.mean(axis=1), means))[0])
        said = chosen(TrialValues(study.errors, study.losses), best, rng, is_share=True)
        found.append((said, float(means[best]), float(study.true_errors[best])))
    return found


@pytest.mark.parametrize("truth", ["equal", "close", "search"])
def test_the_luck_of_being_chosen_is_taken_off(truth: str) -> None:
    found = studies(truth, 40, 100, 120)
    optimism = np.mean([true - recorded for _, recorded, true in found])
    left = np.mean([true - said.estimate for said, _, true in found])
    assert optimism > 0.04
    assert -0.25 * optimism < left < 0.2 * optimism


def test_the_interval_of_the_chosen_holds_the_truth_where_that_of_its_record_does_not() -> None:
    found = studies("equal", 40, 100, 120)
    covered = [said.interval.low <= true <= said.interval.high for said, _, true in found]
    assert 0.9 <= np.mean(covered) <= 0.99


def test_a_clear_winner_keeps_its_value() -> None:
    rng = np.random.default_rng(0)
    errors = (rng.random((5, 400)) < np.array([[0.1], [0.4], [0.4], [0.5], [0.5]])).astype(np.float32)
    said = chosen(TrialValues(errors, None), 0, rng, is_share=True)
    assert said.estimate == pytest.approx(errors[0].mean(), abs=1e-6)
    assert said.share_of_choices == 1


def test_the_only_trial_keeps_its_value() -> None:
    errors = np.repeat(np.array([[0, 1]], np.float32), [80, 20], axis=1)
    assert chosen(TrialValues(errors, None), 0, np.random.default_rng(0), is_share=True).estimate == pytest.approx(0.2)


def test_the_estimate_is_the_same_each_time() -> None:
    errors = (np.random.default_rng(0).random((9, 60)) < 0.2).astype(np.float32)
    once, again = (chosen(TrialValues(errors, None), 3, np.random.default_rng(0), is_share=True) for _ in range(2))
    assert once == again


def test_equal_errors_are_decided_by_the_tie_breakers_as_in_the_search() -> None:
    errors = np.tile(np.array([0, 1], np.float32), (2, 20))
    losses = np.stack([np.full(40, 0.5), np.full(40, 0.4)]).astype(np.float32)
    said = chosen(TrialValues(errors, losses), 1, np.random.default_rng(0), is_share=True)
    assert said.share_of_choices == 1


@pytest.mark.parametrize("n_images", [1, 2, 3])
def test_very_few_images_give_an_interval_all_the_same(n_images: int) -> None:
    errors = np.zeros((3, n_images), np.float32)
    low, high = chosen(TrialValues(errors, None), 0, np.random.default_rng(0), is_share=True).interval
    assert low == 0
    assert high > 0.5


def test_the_interval_of_a_trial_named_in_advance_allows_for_the_choice_of_its_epoch() -> None:
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(200):
        study = simulated(1, 50, "epochs", 0.3, rng)
        best = int(study.losses.mean(axis=1).argmin())
        values = TrialValues(study.losses, None, study.trials)
        limits = intervals_of_trials(values, rng, is_share=False)[0]
        covered.append(limits.low <= study.true_losses[best] <= limits.high)
    assert 0.91 <= np.mean(covered) <= 0.99


def test_only_trials_of_several_epochs_get_an_interval_of_their_epochs() -> None:
    rng = np.random.default_rng(0)
    errors = (rng.random((5, 40)) < 0.3).astype(np.float32)
    found = intervals_of_trials(TrialValues(errors, None, np.array([2, 2, 4, 7, 7])), rng, is_share=True)
    assert sorted(found) == [2, 7]
    for number, rows in ((2, [0, 1]), (7, [3, 4])):
        assert found[number].low <= errors[rows].mean(axis=1).min() <= found[number].high

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.fit import time_plan
from hpo.fit.time_plan import FineTuning

SECONDS = st.floats(1.0, 1e6)
OF_LAST_STAGES = st.lists(st.floats(1e-6, 10.0), min_size=1, max_size=8).map(sorted).map(tuple)
N_IMAGES = st.integers(1, 10**6)
SIZES = st.integers(8, 512)
STAGES = (0.001, 0.002, 0.004, 0.01)
"""The seconds an image of the last 1, 2, 3 and 4 stages of a network."""


def cost(plan: FineTuning, of_last_stages: tuple[float, ...], n_images: int, own_size: int) -> float:
    """The seconds of one training of all epochs."""
    per_image = of_last_stages[-1 if plan.n_stages is None else plan.n_stages - 1]
    return plan.epochs * n_images * 3.5 * per_image * (plan.image_size / own_size) ** 2


@given(SECONDS, OF_LAST_STAGES, N_IMAGES, SIZES, N_IMAGES)
def test_all_trainings_of_a_plan_and_the_refit_of_the_best_fit_into_the_time(
    seconds: float, of_last_stages: tuple[float, ...], n_images: int, own_size: int, n_validation: int
) -> None:
    plan = time_plan.fine_tuning(seconds, of_last_stages, n_images, own_size, n_validation)
    if plan is not None:
        refit = (n_images + n_validation) / n_images
        n_trainings = (plan.trials or 8) + refit
        assert n_trainings * cost(plan, of_last_stages, n_images, own_size) <= seconds * (1 + 1e-9)


@given(SECONDS, OF_LAST_STAGES, N_IMAGES, SIZES)
def test_image_sizes_stages_epochs_and_trials_stay_in_their_ranges(
    seconds: float, of_last_stages: tuple[float, ...], n_images: int, own_size: int
) -> None:
    plan = time_plan.fine_tuning(seconds, of_last_stages, n_images, own_size)
    if plan is not None:
        assert min(own_size, 96) <= plan.image_size <= own_size
        assert plan.n_stages is None or 1 <= plan.n_stages < len(of_last_stages)
        assert 4 <= plan.epochs <= 30
        assert plan.trials is None or plan.trials >= 1


@given(SECONDS, OF_LAST_STAGES, N_IMAGES, SIZES)
def test_more_time_never_trains_fewer_stages_smaller_images_or_fewer_epochs(
    seconds: float, of_last_stages: tuple[float, ...], n_images: int, own_size: int
) -> None:
    less = time_plan.fine_tuning(seconds, of_last_stages, n_images, own_size)
    more = time_plan.fine_tuning(2 * seconds, of_last_stages, n_images, own_size)
    if less is not None:
        assert more is not None
        n_all = len(of_last_stages)
        depths = [(plan.image_size, plan.n_stages or n_all) for plan in (less, more)]
        assert depths[0] <= depths[1]
        assert depths[0] < depths[1] or less.epochs <= more.epochs


def test_with_much_time_all_stages_train_long_and_bad_trials_may_be_stopped() -> None:
    assert time_plan.fine_tuning(36_000, STAGES, 1000, 224) == FineTuning(224, None, 30, None)


def test_with_some_time_a_few_good_trainings_run_to_their_end() -> None:
    assert time_plan.fine_tuning(2600, STAGES, 1000, 224) == FineTuning(224, None, 16, 3)


def test_with_less_time_fewer_stages_train() -> None:
    assert time_plan.fine_tuning(300, STAGES, 1000, 224) == FineTuning(224, 3, 9, 1)


def test_the_pass_through_frozen_stages_over_all_images_takes_its_time() -> None:
    assert time_plan.fine_tuning(300, STAGES, 1000, 224, 1000) == FineTuning(224, 2, 12, 1)
    assert time_plan.fine_tuning(300, STAGES, 1000, 224, 3000) == FineTuning(224, 1, 13, 1)


def test_images_become_smaller_if_not_even_the_last_stage_can_train() -> None:
    assert time_plan.fine_tuning(300, (0.01,), 1500, 224) == FineTuning(160, None, 5, 1)


def test_without_time_for_a_short_training_and_its_refit_nothing_is_fine_tuned() -> None:
    assert time_plan.fine_tuning(60, (0.05,), 10_000, 224) is None


def test_a_search_that_may_stop_trials_leaves_time_to_train_the_best_again() -> None:
    assert time_plan.of_search(FineTuning(224, None, 30, None), 1000, 400, 800) == pytest.approx(1000 * 8 / 11)
    assert time_plan.of_search(FineTuning(224, None, 10, 3), 800, 400, 100) == 800


def test_a_refit_takes_as_long_as_the_epochs_of_the_trial_for_more_images() -> None:
    assert time_plan.of_refit([60.0, 2.0, 2.0, 2.0], 3, 400, 100) == pytest.approx(3 * 2.0 * 1.25)


@given(st.integers(1, 200), st.integers(1, 64))
def test_no_slot_is_idle_at_the_end_of_a_search_of_a_few_trials(trials: int, n_cores: int) -> None:
    found = time_plan.slots(FineTuning(224, None, 16, trials), n_cores)
    assert found is not None
    assert 1 <= found <= n_cores
    assert trials % found == 0


def test_a_search_of_many_trials_has_the_default_number_of_slots() -> None:
    assert time_plan.slots(FineTuning(224, None, 30, None), 16) is None
    assert time_plan.slots(FineTuning(224, None, 16, 1), 16) == 1

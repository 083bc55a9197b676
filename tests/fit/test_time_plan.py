from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hpo.fit import time_plan
from hpo.fit.time_plan import FineTuning

SECONDS = st.floats(1.0, 1e6)
PER_IMAGE = st.floats(1e-6, 10.0)
N_IMAGES = st.integers(1, 10**6)
SIZES = st.integers(8, 512)


def cost(plan: FineTuning, per_image: float, n_images: int, own_size: int) -> float:
    """The seconds of one training of all epochs."""
    return plan.epochs * n_images * 3 * per_image * (plan.image_size / own_size) ** 2


@given(SECONDS, PER_IMAGE, N_IMAGES, SIZES)
def test_at_least_two_trainings_of_a_plan_fit_into_the_time(
    seconds: float, per_image: float, n_images: int, own_size: int
) -> None:
    plan = time_plan.fine_tuning(seconds, per_image, n_images, own_size)
    assert plan is None or 2 * cost(plan, per_image, n_images, own_size) <= seconds * (1 + 1e-9)


@given(SECONDS, PER_IMAGE, N_IMAGES, SIZES)
def test_images_are_never_larger_than_those_that_the_model_takes_and_epochs_stay_in_their_range(
    seconds: float, per_image: float, n_images: int, own_size: int
) -> None:
    plan = time_plan.fine_tuning(seconds, per_image, n_images, own_size)
    if plan is not None:
        assert min(own_size, 96) <= plan.image_size <= own_size
        assert 4 <= plan.epochs <= 30


@given(SECONDS, PER_IMAGE, N_IMAGES, SIZES)
def test_more_time_never_makes_the_images_smaller(
    seconds: float, per_image: float, n_images: int, own_size: int
) -> None:
    less = time_plan.fine_tuning(seconds, per_image, n_images, own_size)
    more = time_plan.fine_tuning(2 * seconds, per_image, n_images, own_size)
    if less is not None:
        assert more is not None
        assert more.image_size >= less.image_size


def test_with_much_time_the_images_keep_their_size_and_the_epochs_end_at_their_limit() -> None:
    assert time_plan.fine_tuning(36_000, 0.01, 1000, 224) == FineTuning(224, 30)


def test_with_less_time_the_images_become_smaller() -> None:
    assert time_plan.fine_tuning(600, 0.01, 1500, 224) == FineTuning(160, 4)


def test_without_time_for_two_short_trainings_nothing_is_fine_tuned() -> None:
    assert time_plan.fine_tuning(60, 0.05, 10_000, 224) is None


def test_the_search_leaves_time_to_train_the_best_once_more() -> None:
    plan = time_plan.fine_tuning(600, 0.01, 1500, 224)
    assert plan is not None
    left = 600 - time_plan.without_retraining(600)
    assert left >= cost(plan, 0.01, 1500, 224)

"""The difference of two chosen trials, against simulations whose truth is known."""

import numpy as np
import pytest

from benchmarks.simulated_studies import Study, simulated
from hpo.statistics import DifferenceOfChosen, TrialValues, difference_of_chosen

NO_ERROR = TrialValues(np.zeros((1, 112), np.float32), None)


def best_of(errors: TrialValues) -> int:
    assert errors.tie_breakers is not None
    return int(np.lexsort((errors.tie_breakers.mean(axis=1), errors.values.mean(axis=1)))[0])


def split(study: Study, n_first: int) -> tuple[TrialValues, TrialValues]:
    """The first trials of a study, and the others, as two studies."""
    first, second = (
        TrialValues(study.errors[part], study.losses[part]) for part in (slice(n_first), slice(n_first, None))
    )
    return first, second


@pytest.mark.parametrize("is_paired", [True, False])
@pytest.mark.parametrize(("n_first", "n_second", "n_images"), [(100, 1, 112), (50, 3, 200), (1, 1, 50)])
def test_the_interval_holds_the_true_difference_whatever_the_numbers_of_trials(
    n_first: int, n_second: int, n_images: int, is_paired: bool
) -> None:
    rng, held, recorded = np.random.default_rng(3), [], []
    for _ in range(100):
        first, second = split(simulated(n_first + n_second, n_images, "equal", 0.3, rng), n_first)
        if not is_paired:
            _, second = split(simulated(n_first + n_second, n_images, "equal", 0.3, rng), n_first)
        low, high = difference_of_chosen(first, second, rng, is_share=True, is_paired=is_paired).interval
        held.append(low <= 0 <= high)
        means = [float(each.values[best_of(each)].mean()) for each in (first, second)]
        recorded.append(means[1] - means[0])
    assert np.mean(held) >= 0.91
    assert n_first == 1 or np.mean(recorded) > 0.02  # the luck that has to be taken off


def found_of(n_wrong: int, *, is_paired: bool, level: float = 0.95) -> DifferenceOfChosen:
    """The difference of a trial that gets so many of 112 images wrong from one without an error."""
    errors = np.zeros((1, 112), np.float32)
    errors[0, :n_wrong] = 1
    rng = np.random.default_rng(0)
    return difference_of_chosen(
        NO_ERROR, TrialValues(errors, None), rng, is_share=True, is_paired=is_paired, level=level
    )


def test_four_images_in_one_direction_do_not_tell_two_trials_apart() -> None:
    low, high = found_of(4, is_paired=True).interval  # the exact chance of it is 0.125
    assert low < 0 < 4 / 112 < high


def test_many_images_in_one_direction_do() -> None:
    assert found_of(12, is_paired=True).interval.low > 0


@pytest.mark.parametrize("is_paired", [True, False])
def test_studies_without_an_error_have_no_interval_of_no_width(is_paired: bool) -> None:
    low, high = found_of(0, is_paired=is_paired).interval
    assert low < -0.005 < 0.005 < high


def test_a_higher_level_gives_a_wider_interval() -> None:
    plain, strict = (found_of(9, is_paired=True, level=level).interval for level in (0.95, 0.9995))
    assert strict.low < plain.low < plain.high < strict.high


def test_a_single_image_says_nothing() -> None:
    one = TrialValues(np.zeros((2, 1), np.float32), None)
    found = difference_of_chosen(one, one, np.random.default_rng(0), is_share=True, is_paired=True)
    assert found.interval == (-np.inf, np.inf)

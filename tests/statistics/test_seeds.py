import numpy as np
import pytest
from numpy.typing import NDArray

from hpo.statistics import both_spreads, differing

Doubles = NDArray[np.float64]


def errors(rng: np.random.Generator, n_seeds: int, n_images: int, of_seeds: float, shift: float = 0.0) -> Doubles:
    """Whether each seed's model misclassifies each image. `of_seeds` is the spread of the models' abilities."""
    abilities = 1.0 - shift + of_seeds * rng.standard_normal((n_seeds, 1))
    hard = 0.8 * rng.standard_normal(n_images)
    return (abilities + hard + 0.6 * rng.standard_normal((n_seeds, n_images)) < 0).astype(float)


@pytest.mark.slow
@pytest.mark.parametrize("of_seeds", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("n_seeds", [3, 5])
def test_the_interval_holds_the_mean_over_other_seeds_and_images(of_seeds: float, n_seeds: int) -> None:
    rng = np.random.default_rng(0)
    truth = np.mean([errors(rng, 100, 200, of_seeds).mean() for _ in range(100)])
    found = [both_spreads(errors(rng, n_seeds, 200, of_seeds), is_share=True) for _ in range(300)]
    assert 0.92 <= np.mean([low <= truth <= high for low, high in found]) <= 0.99


def test_seeds_that_differ_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    alike, unlike = (both_spreads(errors(rng, 3, 2000, spread), is_share=True) for spread in (0.0, 0.4))
    assert unlike.high - unlike.low > 2 * (alike.high - alike.low)


def test_one_seed_gives_the_interval_of_the_images() -> None:
    values = errors(np.random.default_rng(0), 1, 500, 0.0)
    low, high = both_spreads(values, is_share=True)
    assert low < values.mean() < high
    assert high - low < 0.1


@pytest.mark.slow
def test_equal_trials_are_rarely_said_to_differ_however_many_are_compared() -> None:
    rng = np.random.default_rng(0)
    wrong = [bool(differing([errors(rng, 3, 150, 0.1) for _ in range(5)])) for _ in range(100)]
    assert np.mean(wrong) <= 0.08


def test_a_clearly_worse_trial_is_found_and_the_better_one_comes_first() -> None:
    rng = np.random.default_rng(0)
    trials = [errors(rng, 4, 800, 0.05, shift) for shift in (0.6, 0.0, 0.0)]
    assert set(differing(trials)) == {(1, 0), (2, 0)}


def test_trials_of_different_numbers_of_seeds_are_compared() -> None:
    rng = np.random.default_rng(0)
    assert differing([errors(rng, 1, 900, 0.0), errors(rng, 4, 900, 0.05, 0.8)]) == [(0, 1)]


def test_one_image_tells_nothing() -> None:
    assert differing([np.zeros((2, 1)), np.ones((2, 1))]) == []
    assert tuple(both_spreads(np.zeros((2, 1)), is_share=True)) == (0, 1)

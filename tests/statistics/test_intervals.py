import math

import numpy as np
import pytest
from scipy.stats import binomtest

from hpo.statistics import Interval, interval, mean_interval


@pytest.mark.parametrize(("n_wrong", "n"), [(0, 50), (3, 50), (25, 50), (500, 500), (13, 112)])
def test_the_interval_of_an_error_is_wilsons(n_wrong: int, n: int) -> None:
    errors = np.repeat([1.0, 0.0], [n_wrong, n - n_wrong])
    expected = binomtest(n_wrong, n).proportion_ci(method="wilson")
    found = mean_interval(errors, is_share=True)
    assert tuple(found) == pytest.approx((expected.low, expected.high), abs=0.006)


def test_no_wrong_image_of_fifty_does_not_mean_no_error() -> None:
    found = mean_interval(np.zeros(50), is_share=True)
    assert found.low == 0
    assert 0.05 < found.high < 0.1


@pytest.mark.parametrize("error", [0.02, 0.15, 0.5])
@pytest.mark.parametrize("n", [50, 1000])
def test_the_interval_of_an_error_holds_the_truth_in_95_of_100_cases(error: float, n: int) -> None:
    rng = np.random.default_rng(0)
    found = [mean_interval((rng.random(n) < error).astype(float), is_share=True) for _ in range(2000)]
    assert 0.93 <= np.mean([low <= error <= high for low, high in found]) <= 0.99


def test_the_interval_of_a_skewed_loss_holds_the_truth_in_about_95_of_100_cases() -> None:
    rng = np.random.default_rng(0)
    found = [mean_interval(rng.exponential(size=60), is_share=False) for _ in range(2000)]
    assert 0.93 <= np.mean([low <= 1 <= high for low, high in found]) <= 0.97


def test_one_image_says_nothing() -> None:
    assert mean_interval(np.array([1.0]), is_share=True) == Interval(0, 1)
    assert mean_interval(np.array([0.3]), is_share=False) == Interval(0, math.inf)


def test_a_loss_that_a_few_images_are_all_of_has_no_upper_limit() -> None:
    assert interval(1e-6, 0.1, 40, is_share=False) == Interval(0, math.inf)
    assert math.isfinite(interval(1e-3, 0.01, 40, is_share=False).high)


def test_a_larger_standard_error_gives_a_wider_interval_in_the_limits_of_a_share() -> None:
    narrow, wide = (interval(0.05, error, 100, is_share=True) for error in (0.02, 0.06))
    assert 0 <= wide.low < narrow.low < 0.05 < narrow.high < wide.high <= 1


def test_a_widened_interval_holds_the_value() -> None:
    assert Interval(0.2, 0.4).widened(0.1) == Interval(0.1, 0.4)
    assert Interval(0.2, 0.4).widened(0.3) == Interval(0.2, 0.4)


def test_a_mean_that_may_be_below_0_has_limits_equally_far_from_it() -> None:
    low, high = interval(0.01, 0.1, 50, is_share=False, is_signed=True)
    assert low < 0
    assert 0.01 - low == pytest.approx(high - 0.01)


@pytest.mark.parametrize("is_signed", [False, True])
def test_images_with_one_value_say_nothing_of_others(is_signed: bool) -> None:
    found = mean_interval(np.zeros(50), is_share=False, is_signed=is_signed)
    assert found == Interval(-math.inf if is_signed else 0.0, math.inf)

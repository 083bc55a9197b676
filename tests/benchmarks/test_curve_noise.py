from __future__ import annotations

import math
import random

import pytest

from benchmarks.curve_noise import noise


@pytest.mark.parametrize("size", [0.01, 0.1])
def test_the_noise_of_a_curve_is_found_whatever_its_level(size: float) -> None:
    rng = random.Random(0)
    losses = [5 * epoch**-0.3 * math.exp(size * rng.gauss(0, 1)) for epoch in range(1, 2000)]
    assert noise(losses) == pytest.approx(size, rel=0.1)


def test_a_smooth_curve_has_hardly_any_noise() -> None:
    assert noise([0.5 + 1 / epoch for epoch in range(1, 31)]) < 0.01


def test_losses_that_are_not_finite_are_left_out() -> None:
    smooth = [0.5 + 1 / epoch for epoch in range(1, 31)]
    assert noise([*smooth[:20], math.nan, *smooth[21:], math.inf]) < 0.01


def test_a_short_curve_has_no_noise() -> None:
    assert math.isnan(noise([3.0, 2.0, 1.5, 1.2, 1.0]))

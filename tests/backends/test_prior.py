"""Random values that follow the priors of hyperparameters."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.backends._prior import TruncatedNormal, draw, range_prior, sample
from hpo.space import Categorical, Domain, Fidelity, Float, Int, SearchSpace
from hpo.space.values import is_number
from tests.space.spaces import DOMAINS, FEW, spaces


@FEW
@given(DOMAINS, st.integers(0, 2**32))
def test_a_drawn_value_lies_in_its_domain(domain: Domain, seed: int) -> None:
    assert domain.contains(draw(domain, random.Random(seed)))


@FEW
@given(st.floats(0, 1), st.floats(1e-6, 1e3), st.lists(st.floats(0, 1), min_size=2, max_size=5))
def test_positions_rise_with_their_quantiles(mean: float, deviation: float, quantiles: list[float]) -> None:
    normal = TruncatedNormal(mean, deviation)
    positions = [normal.position_at(quantile) for quantile in sorted(quantiles)]
    assert positions == sorted(positions)
    assert all(0 <= position <= 1 for position in positions)


@pytest.mark.parametrize(
    ("domain", "low", "high"),
    [
        (Float(0, 100, prior={"centre": 30, "width": 5}), 25, 35),
        (Float(1e-6, 1, log=True, prior={"centre": 1e-3, "width": 3}), 1e-3 / 3, 3e-3),
        (Int(0, 1000, prior={"centre": 400, "width": 50}), 350, 450),
        (Int(1, 10**6, log=True, prior={"centre": 1000, "width": 4}), 250, 4000),
    ],
)
def test_two_thirds_of_the_values_lie_within_the_width_of_the_centre(
    domain: Float | Int, low: float, high: float
) -> None:
    rng = random.Random(0)
    values = [draw(domain, rng) for _ in range(4000)]
    assert sum(low <= value <= high for value in values if is_number(value)) / 4000 == pytest.approx(0.68, abs=0.03)


def test_a_prior_is_truncated_to_its_range_and_never_rejects_the_far_end() -> None:
    normal = range_prior(Float(0, 1, prior={"centre": 0, "width": 0.5}))
    assert normal is not None
    assert (normal.position_at(0), normal.position_at(1)) == (0.0, 1.0)
    assert normal.position_at(0.5) == pytest.approx(0.5 * 0.6, abs=0.02)


def test_a_very_wide_prior_is_uniform_and_a_very_narrow_one_is_its_centre() -> None:
    wide, narrow = (range_prior(Float(0, 1, prior={"centre": 0.3, "width": width})) for width in (1e6, 1e-300))
    assert wide is not None
    assert narrow is not None
    for quantile in (0.0, 0.1, 0.5, 0.9, 1.0):
        assert wide.position_at(quantile) == pytest.approx(quantile, abs=1e-3)
        assert narrow.position_at(quantile) == pytest.approx(0.3, abs=1e-4)
    assert wide.log_peak == pytest.approx(0, abs=1e-3)


def test_choices_are_drawn_as_often_as_their_weights_say() -> None:
    domain, rng = Categorical(("a", "b", "c"), prior={"a": 3, "b": 0.5}), random.Random(0)
    drawn = [draw(domain, rng) for _ in range(4000)]
    assert [drawn.count(choice) / 4000 for choice in "abc"] == pytest.approx([3 / 4.5, 0.5 / 4.5, 1 / 4.5], abs=0.03)


@FEW
@given(spaces(), st.integers(0, 2**32))
def test_without_a_prior_the_draws_are_those_of_the_space(space: SearchSpace, seed: int) -> None:
    plain = SearchSpace(
        "plain", {name: type(each)(**vars(each) | {"prior": None}) for name, each in space.domains.items()}, Fidelity(3)
    )
    one, other = random.Random(seed), random.Random(seed)
    assert sample(plain, one) == plain.sample(other)
    assert one.getstate() == other.getstate()


@FEW
@given(st.floats(0.01, 0.99), st.floats(0.01, 10))
def test_the_draws_are_densest_at_the_centre_and_as_dense_there_as_log_peak_says(mean: float, deviation: float) -> None:
    normal, n = TruncatedNormal(mean, deviation), 2000
    positions = [normal.position_at(i / n) for i in range(n + 1)]
    densities = [1 / n / (above - below) for below, above in pairwise(positions)]
    assert max(densities) == pytest.approx(math.exp(normal.log_peak), rel=0.01)
    at = next(i for i, (below, above) in enumerate(pairwise(positions)) if below <= mean <= above)
    assert densities[at] == pytest.approx(max(densities), rel=0.01)

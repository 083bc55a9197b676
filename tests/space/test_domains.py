import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.errors import SpaceError
from hpo.space.domains import Categorical, Domain, Float, Int, domain_to_dict
from tests.space.spaces import DOMAINS, FEW, floats, ints, wrong

SEEDS = st.integers(0, 2**32)


@FEW
@given(DOMAINS, SEEDS)
def test_a_sample_lies_in_its_domain(domain: Domain, seed: int) -> None:
    assert domain.contains(domain.sample(random.Random(seed)))


@FEW
@given(DOMAINS, SEEDS)
def test_the_same_seed_draws_the_same_values(domain: Domain, seed: int) -> None:
    one, other = random.Random(seed), random.Random(seed)
    assert [domain.sample(one) for _ in range(3)] == [domain.sample(other) for _ in range(3)]


@FEW
@given(floats() | ints())
def test_a_grid_rises_from_one_end_of_its_range_to_the_other(domain: Float | Int) -> None:
    if domain.points is None:
        with pytest.raises(SpaceError, match="points"):
            domain.grid()
        return
    grid = domain.grid()
    assert all(domain.contains(value) for value in grid)
    assert list(grid) == sorted(set(grid))
    assert 1 <= len(grid) <= domain.points
    if domain.points > 1:
        assert (grid[0], grid[-1]) == (domain.low, domain.high)


def test_the_values_of_a_grid_are_rounded_but_never_outside_the_range_or_equal() -> None:
    assert Float(1e-4, 1e-1, log=True, points=4).grid() == (1e-4, 1e-3, 1e-2, 1e-1)
    assert Float(0, 1, points=11).grid() == (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
    narrow = Float(1, 1 + 1e-13, points=4)
    assert len(narrow.grid()) == 4
    assert all(narrow.contains(value) for value in narrow.grid())


def test_a_grid_has_its_number_of_points_evenly_spaced_on_the_scale_that_is_searched() -> None:
    assert Float(0, 1, points=5).grid() == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert Float(1e-4, 1, log=True, points=5).grid() == pytest.approx((1e-4, 1e-3, 1e-2, 1e-1, 1.0))
    assert Int(1, 4, points=9).grid() == (1, 2, 3, 4)
    assert Int(1, 100, log=True, points=3).grid() == (1, 10, 100)
    assert Categorical(("a", "b")).grid() == ("a", "b")


def test_a_grid_of_one_point_is_the_default_else_the_low_end() -> None:
    assert Float(0, 1, default=0.3, points=1).grid() == (0.3,)
    assert Int(2, 8, points=1).grid() == (2,)


def test_a_logarithmic_range_is_drawn_evenly_over_its_orders_of_magnitude() -> None:
    rng = random.Random(0)
    domain = Float(1e-4, 1e0, log=True)
    below = sum(domain.sample(rng) < 1e-2 for _ in range(4000))
    assert below / 4000 == pytest.approx(0.5, abs=0.03)


def test_a_logarithmic_int_range_draws_each_end_as_often_as_its_width_on_that_scale() -> None:
    rng = random.Random(0)
    drawn = [Int(1, 4, log=True).sample(rng) for _ in range(9000)]
    for value in (1, 2, 3, 4):
        share = math.log((value + 0.5) / (value - 0.5)) / math.log(9)
        assert drawn.count(value) / 9000 == pytest.approx(share, abs=0.02)


def test_one_is_one_point_zero_but_not_true() -> None:
    assert Categorical((1, 2)).contains(1.0)
    assert not Categorical((1, 2)).contains(True)
    assert Categorical((1, True)).choices == (1, True)
    assert not Float(0, 1).contains(True)
    assert not Int(0, 1).contains(True)
    assert not Int(0, 3).contains(2.0)
    assert Float(0, 3).contains(2)


def test_a_domain_takes_its_values_in_one_form() -> None:
    assert repr(Float(0, 1, default=1).default) == "1.0"
    assert repr(Float(-0.0, 1).low) == "0.0"
    lists: Any = {"choices": ["a", "b"], "when": {"c": ["d"]}}
    assert Categorical(**lists) == Categorical(("a", "b"), when={"c": ("d",)})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Float(2, 1), "low: 2 is above high=1; low <= high must hold"),
        (lambda: Float(0, 1, log=True), "low: is 0; low > 0 must hold with log=true"),
        (lambda: Float(0, 1, default=2), "default: 2 lies outside the range from low=0 to high=1"),
        (lambda: Float(0, math.inf), "high: must be finite, but is inf"),
        (lambda: Float(math.nan, 1), "low: must be finite, but is nan"),
        (lambda: Float(0, True), "high: must be a number, but is true"),
        (lambda: Float(0, 10**400), "high: must lie between -2**53 and 2**53"),
        (lambda: Float(0, 1, points=0), "points: must be a whole number of at least 1, but is 0"),
        (lambda: Float(0, 1, log=wrong(1)), "log: must be true or false, but is 1"),
        (lambda: Int(0, wrong(1.5)), "high: must be a whole number with type=int, but is 1.5"),
        (lambda: Int(0, 2, default=wrong(1.0)), "default: must be a whole number with type=int, but is 1.0"),
        (lambda: Categorical(()), "choices: must be a list of at least one value"),
        (lambda: Categorical(wrong("sgd")), "choices: must be a list of at least one value, but is 'sgd'"),
        (lambda: Categorical((1, 1.0)), "choices: 1.0 stands in it twice; choices must differ"),
        (lambda: Categorical((math.nan,)), "choices: each choice must be finite, but is nan"),
        (lambda: Categorical(wrong(({"a": 1},))), "choices: each choice must be a single value, but is {a: 1}"),
        (lambda: Categorical(wrong((["a", {}],))), "choices: each choice holds a value that must be a single value"),
        (lambda: Categorical(((1, math.inf),)), "choices: each choice holds a value that must be finite, but is inf"),
        (lambda: Categorical(((1, 2), (1.0, 2))), "choices: [1.0, 2] stands in it twice; choices must differ"),
        (lambda: Categorical(((1,), (2,)), default=(3,)), "default: [3] is no choice; one of [[1], [2]] is allowed"),
        (lambda: Float(0, 1, step=0.3), "high: 1 is not low=0 and a whole number of steps of 0.3; the nearest are 0.9"),
        (
            lambda: Int(1, 10, step=2),
            "high: 10 is not low=1 and a whole number of steps of 2; the nearest are 9",
        ),
        (lambda: Int(1, 9, step=2, default=4), "default: 4 is not low=1 and a whole number of steps of 2"),
        (lambda: Float(1, 2, log=True, step=0.5), "step: is 0.5; a range with log=true has no step"),
        (lambda: Float(0, 1, step=0), "step: must be above 0, but is 0"),
        (lambda: Int(1, 9, step=wrong(0.5)), "step: must be a whole number with type=int, but is 0.5"),
        (lambda: Float(0, 1, step=1e-300), "step: is 1e-300, too small for the range"),
        (lambda: Categorical(("a",), default="b"), "default: 'b' is no choice; one of ['a'] is allowed"),
        (lambda: Float(0, 1, when={"a": "sgd"}), "when.a: must be a list of at least one value, but is 'sgd'"),
        (lambda: Float(0, 1, when={"a": ()}), "when.a: must be a list of at least one value"),
        (lambda: Float(0, 1, when=wrong([])), "when: must name parents and their values"),
    ],
)
def test_a_broken_rule_is_named_with_its_field_its_value_and_what_must_hold(
    make: Callable[[], Domain], words: str
) -> None:
    with pytest.raises(SpaceError) as caught:
        make()
    assert words in str(caught.value)


def test_every_broken_rule_of_a_domain_is_named_at_once() -> None:
    with pytest.raises(SpaceError) as caught:
        Float(0, -1, log=True, points=0)
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == ["low", "points", "low"]


@pytest.mark.parametrize(
    ("domain", "values"),
    [
        (Float(0.1, 0.7, step=0.1), (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)),
        (Float(-0.5, 0.5, step=0.25), (-0.5, -0.25, 0.0, 0.25, 0.5)),
        (Float(0, 1, step=0.25, points=3), (0.0, 0.5, 1.0)),
        (Float(0, 1, step=1), (0.0, 1.0)),
        (Int(16, 64, step=16, points=4), (16, 32, 48, 64)),
        (Int(16, 64, step=16, points=3), (16, 48, 64)),
    ],
)
def test_a_step_allows_only_its_values(domain: Float | Int, values: tuple[float, ...]) -> None:
    assert domain.grid() == values
    rng = random.Random(0)
    allowed = {domain.value_at(index) for index in range(int(domain.n_values))}
    assert {domain.sample(rng) for _ in range(400)} == allowed
    assert all(domain.contains(value) for value in allowed)
    assert not domain.contains(domain.low + (domain.step or 0) / 2)
    assert [domain.index_of(value) for value in sorted(allowed)] == list(range(len(allowed)))


def test_lists_are_choices_that_compare_by_element() -> None:
    widths = Categorical(wrong([[64, 64], [128], [1], [True], []]), default=wrong([128]))
    assert widths.choices == ((64, 64), (128,), (1,), (True,), ())
    assert [widths.index_of(choice) for choice in widths.choices] == [0, 1, 2, 3, 4]
    assert widths.contains((64.0, 64))
    assert not widths.contains((64,))
    assert domain_to_dict(widths) == {"choices": [[64, 64], [128], [1], [True], []], "default": [128]}


@pytest.mark.parametrize("domain", [Float(0.0, 1.0), Int(0, 1), Categorical(("a", "b"))])
def test_conditions_of_none_are_no_conditions(domain: Float | Int | Categorical) -> None:
    assert replace(domain, when=None) == domain  # type: ignore[arg-type]

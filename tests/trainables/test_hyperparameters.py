import math

import pytest

from trainables.hyperparameters import ABOVE_0, FROM_0_BELOW_1, Scalar, choice, flag, optional, real, whole


def test_a_missing_value_and_none_take_the_default() -> None:
    for config in ({}, {"key": None}):
        assert real(config, "key", 0.5, ABOVE_0) == 0.5
        assert whole(config, "key", 3) == 3
        assert choice(config, "key", "a", ("a", "b")) == "a"
        assert flag(config, "key", True) is True
        assert optional(config, "key") is None


def test_a_given_value_is_taken_even_where_it_is_nothing() -> None:
    assert real({"key": 0}, "key", 0.5, FROM_0_BELOW_1) == 0
    assert whole({"key": 0}, "key", 3, least=0) == 0
    assert flag({"key": False}, "key", True) is False
    assert optional({"key": 0}, "key", least=0) == 0


def test_a_whole_number_is_a_real_one() -> None:
    value = real({"key": 2}, "key", 0.5, ABOVE_0)
    assert (value, type(value)) == (2.0, float)


@pytest.mark.parametrize("value", ["0.1", True, math.nan, math.inf])
def test_what_is_no_finite_number_is_refused(value: Scalar) -> None:
    with pytest.raises(ValueError, match=f"`lr` must be a finite number above 0, but is {value!r}"):
        real({"lr": value}, "lr", 0.5, ABOVE_0)


def test_a_number_that_breaks_the_rule_is_refused_with_the_rule() -> None:
    with pytest.raises(ValueError, match=r"`momentum` must be of at least 0 and below 1, but is 1\.5"):
        real({"momentum": 1.5}, "momentum", 0.5, FROM_0_BELOW_1)


@pytest.mark.parametrize("value", ["3", True, 3.0, 1])
def test_what_is_no_whole_number_or_too_small_is_refused(value: Scalar) -> None:
    with pytest.raises(ValueError, match=f"`n` must be a whole number of at least 2, but is {value!r}"):
        whole({"n": value}, "n", 5, least=2)


@pytest.mark.parametrize("value", ["c", 1, True])
def test_an_unknown_choice_is_refused_with_those_allowed(value: Scalar) -> None:
    with pytest.raises(ValueError, match=f"`key` must be one of a, b, but is {value!r}"):
        choice({"key": value}, "key", "a", ("a", "b"))


@pytest.mark.parametrize("value", ["true", 1, 0, 0.0])
def test_what_is_no_truth_value_is_refused(value: Scalar) -> None:
    with pytest.raises(ValueError, match=f"`key` must be true or false, but is {value!r}"):
        flag({"key": value}, "key", True)


@pytest.mark.parametrize("value", ["3", False, 3.0, 1])
def test_what_may_be_absent_must_else_be_a_whole_number_that_is_not_too_small(value: Scalar) -> None:
    with pytest.raises(ValueError, match=f"`n` must be a whole number of at least 2, but is {value!r}"):
        optional({"n": value}, "n", least=2)

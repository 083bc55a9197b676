import math

import pytest

from trainables.hyperparameters import (
    ABOVE_0,
    FROM_0_BELOW_1,
    Scalar,
    read_bool,
    read_choice,
    read_float,
    read_int,
    read_optional_int,
)


def test_a_missing_value_and_none_take_the_default() -> None:
    for config in ({}, {"key": None}):
        assert read_float(config, "key", 0.5, ABOVE_0) == 0.5
        assert read_int(config, "key", 3) == 3
        assert read_choice(config, "key", "a", ("a", "b")) == "a"
        assert read_bool(config, "key", True) is True
        assert read_optional_int(config, "key") is None


def test_a_given_value_is_taken_even_where_it_is_nothing() -> None:
    assert read_float({"key": 0}, "key", 0.5, FROM_0_BELOW_1) == 0
    assert read_int({"key": 0}, "key", 3, least=0) == 0
    assert read_bool({"key": False}, "key", True) is False
    assert read_optional_int({"key": 0}, "key", least=0) == 0


def test_a_whole_number_is_a_real_one() -> None:
    value = read_float({"key": 2}, "key", 0.5, ABOVE_0)
    assert (value, type(value)) == (2.0, float)


@pytest.mark.parametrize("value", ["0.1", True, math.nan, math.inf])
def test_what_is_no_finite_number_is_refused(value: Scalar) -> None:
    with pytest.raises(ValueError, match=f"`lr` must be a finite number above 0, but is {value!r}"):
        read_float({"lr": value}, "lr", 0.5, ABOVE_0)


def test_a_number_that_breaks_the_rule_is_refused_with_the_rule() -> None:
    with pytest.raises(ValueError, match=r"`momentum` must be of at least 0 and below 1, but is 1\.5"):
        read_float({"momentum": 1.5}, "momentum", 0.5, FROM_0_BELOW_1)


@pytest.mark.parametrize("value", ["3", True, 3.0, 1])
def test_what_is_no_whole_number_or_too_small_is_refused(value: Scalar) -> None:
    with pytest.raises(ValueError, match=f"`n` must be a whole number of at least 2, but is {value!r}"):
        read_int({"n": value}, "n", 5, least=2)


@pytest.mark.parametrize("value", ["c", 1, True])
def test_an_unknown_choice_is_refused_with_those_allowed(value: Scalar) -> None:
    with pytest.raises(ValueError, match=f"`key` must be one of a, b, but is {value!r}"):
        read_choice({"key": value}, "key", "a", ("a", "b"))


@pytest.mark.parametrize("value", ["true", 1, 0, 0.0])
def test_what_is_no_truth_value_is_refused(value: Scalar) -> None:
    with pytest.raises(ValueError, match=f"`key` must be true or false, but is {value!r}"):
        read_bool({"key": value}, "key", True)


@pytest.mark.parametrize("value", ["3", False, 3.0, 1])
def test_what_may_be_absent_must_else_be_a_whole_number_that_is_not_too_small(value: Scalar) -> None:
    with pytest.raises(ValueError, match=f"`n` must be a whole number of at least 2, but is {value!r}"):
        read_optional_int({"n": value}, "n", least=2)

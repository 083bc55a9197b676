"""The transform of values, and the thinning of rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.backends._freeze_thaw.observations import Transform, thinned, times
from hpo.backends._freeze_thaw.trials import Row

INF, NAN = math.inf, math.nan


def transformed(*values: float) -> list[float]:
    array = np.array(values)
    return list(Transform(array)(array).tolist())


@given(st.lists(st.floats(width=32), min_size=1, max_size=30).filter(lambda values: any(map(math.isfinite, values))))
def test_any_values_with_a_finite_one_become_finite_and_keep_their_order(values: list[float]) -> None:
    result = transformed(*values)
    assert all(map(math.isfinite, result))
    finite = [pair for pair in zip(values, result, strict=True) if math.isfinite(pair[0])]
    assert [after for _, after in sorted(finite)] == sorted(after for _, after in finite)


def test_transformed_values_have_mean_0_and_variance_1() -> None:
    result = np.array(transformed(0.1, 0.5, 0.7, 3.0))
    assert np.allclose([result.mean(), result.std()], [0, 1])


def test_positive_values_are_modelled_on_a_logarithmic_scale() -> None:
    low, middle, high = transformed(0.01, 0.1, 1.0)
    assert math.isclose(high - middle, middle - low)


def test_negative_values_keep_their_scale() -> None:
    low, middle, high = transformed(-1.0, 0.0, 1.0)
    assert math.isclose(high - middle, middle - low)


def test_zeros_among_errors_are_the_best_and_not_far_away() -> None:
    zero, small, large = transformed(0.0, 0.01, 0.02)
    assert zero < small < large
    assert small - zero < 3 * (large - small)


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_a_value_that_is_not_finite_counts_as_the_worst(bad: float) -> None:
    result = transformed(1.0, bad, 2.0)
    assert result[1] == result[2] > result[0]


def test_one_huge_value_does_not_hide_the_differences_between_the_others() -> None:
    result = transformed(-0.3, -0.2, -0.1, 0.0, 1e30)
    assert result[1] - result[0] > 0.05


def test_equal_values_become_0() -> None:
    assert transformed(0.25, 0.25) == [0, 0]
    assert transformed(0.0, 0.0, NAN) == [0, 0, 0]


def test_times_run_from_0_to_1_on_a_logarithmic_scale() -> None:
    assert times([1, 10, 100], 100).tolist() == [0, 0.5, 1]
    assert times([1], 1).tolist() == [1]


def rows_of(n_trials: int, n_epochs: int) -> list[Row]:
    """The trials with lower numbers are better."""
    return [Row(trial, epoch, trial + 1 / epoch) for trial in range(n_trials) for epoch in range(1, n_epochs + 1)]


def test_few_rows_are_all_kept() -> None:
    rows = rows_of(3, 4)
    assert thinned(rows, 12) == rows


@pytest.mark.parametrize(("n_trials", "n_epochs", "limit"), [(10, 4, 30), (100, 5, 60), (300, 11, 50), (40, 1, 7)])
def test_thinned_rows_are_no_more_than_allowed_and_stay_in_order(n_trials: int, n_epochs: int, limit: int) -> None:
    rows = rows_of(n_trials, n_epochs)
    kept = thinned(rows, limit)
    assert len(kept) <= limit
    assert kept == [row for row in rows if row in kept]
    assert kept[:n_epochs] == rows[:n_epochs], "the best trial keeps all its rows"
    assert len({row.trial for row in kept}) > min(limit, n_trials) / 3, "rows of many trials remain"


def test_the_worse_half_keeps_its_last_rows() -> None:
    kept = thinned(rows_of(10, 4), 30)
    assert [row for row in kept if row.trial >= 5] == [Row(trial, 4, trial + 1 / 4) for trial in range(5, 10)]
    assert sum(row.trial < 5 for row in kept) == 20

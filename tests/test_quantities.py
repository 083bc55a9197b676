from __future__ import annotations

import math

import pytest

from hpo.quantities import decimal, with_plural


@pytest.mark.parametrize(("n", "words"), [(0, "0 epochs"), (1, "1 epoch"), (2, "2 epochs"), (1200, "1,200 epochs")])
def test_a_count_has_its_plural_and_commas(n: int, words: str) -> None:
    assert with_plural(n, "epoch") == words


@pytest.mark.parametrize(
    ("value", "text"), [(0.25, "0.2500"), (3, "3.0000"), (None, ""), (math.nan, ""), (math.inf, "")]
)
def test_a_number_that_is_not_known_or_not_finite_is_left_empty(value: float | None, text: str) -> None:
    assert decimal(value) == text

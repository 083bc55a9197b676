import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.training import predictions


def half(logits: torch.Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
    found = predictions.as_float16(logits)
    assert found is not None
    assert found.dtype == np.float16
    return found


@given(st.integers(0, 2**32), st.floats(1e-9, 1e4), st.floats(-1e4, 1e4))
def test_the_predicted_class_of_each_image_stays_the_same(seed: int, scale: float, shift: float) -> None:
    logits = torch.randn(40, 7, generator=torch.Generator().manual_seed(seed)) * scale + shift
    logits[:10, 3] = logits[:10, 5]  # the first of two equal ones is predicted
    assert (half(logits).argmax(axis=1) == logits.argmax(dim=1).numpy()).all()
    assert (half(logits).max(axis=1) == 0).all()


def test_equal_highest_logits_stay_equal_and_others_stay_below_them() -> None:
    logits = torch.tensor([[1.0, 1.0, 1 - 2**-24], [-3e-8, 0.0, -1e-12]])
    assert ((half(logits) == 0) == torch.tensor([[True, True, False], [False, True, False]]).numpy()).all()


def test_probabilities_are_as_exact_as_float16_allows() -> None:
    logits = torch.randn(500, 30, generator=torch.Generator().manual_seed(1)) * 3 + 40
    exact = logits.double().log_softmax(dim=1)
    found = torch.from_numpy(half(logits)).double().log_softmax(dim=1)
    distance = logits.amax(dim=1, keepdim=True) - logits
    assert bool(((found - exact).abs() <= 2.0**-11 * (distance + 3)).all())


def test_logits_below_the_range_become_its_lowest_value() -> None:
    assert half(torch.tensor([[0.0, -1e6, -math.inf]])).tolist() == [[0.0, -65504.0, -65504.0]]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_after_a_divergence_are_none(value: float) -> None:
    assert predictions.as_float16(torch.tensor([[0.0, 1.0], [value, 1.0]])) is None


def test_logits_of_an_autocast_or_of_numpy_will_do() -> None:
    expected = [[-1.0, 0.0]]
    assert half(torch.tensor([[1.0, 2.0]], dtype=torch.bfloat16, requires_grad=True)).tolist() == expected
    found = predictions.as_float16(np.array([[1.0, 2.0]]))
    assert found is not None
    assert found.tolist() == expected


def test_a_wrong_shape_is_an_error_that_names_both() -> None:
    predictions.check_shape(torch.zeros(4, 3), 4, 3)
    with pytest.raises(ValueError, match=r"have shape \(4, 3\), not \(4, 2\)"):
        predictions.check_shape(torch.zeros(4, 3), 4, 2)
    with pytest.raises(ValueError, match="are list, not a tensor"):
        predictions.check_shape([[0.0]], 1, 1)


def test_too_many_logits_are_not_offered() -> None:
    few = torch.zeros(2, 3)
    assert predictions.offered(few) is few
    assert predictions.offered(torch.zeros(1).expand(predictions.MAX_VALUES + 1, 1)) is None

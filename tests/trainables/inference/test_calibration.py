"""The temperature and the expected calibration error."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from trainables.inference import calibration


def samples(seed: int, n: int, factor: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels that are drawn by the softmax of some logits, and these logits times `factor`."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, 5, generator=generator)
    labels = torch.multinomial(logits.softmax(dim=1), 1, generator=generator).squeeze(1)
    return factor * logits, labels


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
def test_the_temperature_undoes_a_factor_of_the_logits(factor: float) -> None:
    logits, labels = samples(0, 20_000, factor)
    found = calibration.fit(logits, labels)
    assert found.temperature == pytest.approx(factor, rel=0.05)
    assert found.error_after < 0.02
    if factor != 1:
        assert found.error_before > 5 * found.error_after


@given(st.integers(0, 10_000), st.integers(2, 40), st.sampled_from([0.01, 0.3, 1.0, 3.0, 300.0]))
def test_the_loss_is_the_lowest_within_the_bounds_and_never_higher_than_before(
    seed: int, n: int, factor: float
) -> None:
    logits, labels = samples(seed, n, factor)
    found = calibration.fit(logits, labels)
    assert calibration.LOWEST <= found.temperature <= calibration.HIGHEST
    assert found.loss_after <= found.loss_before
    if (logits.argmax(dim=1) == labels).all():
        assert found.temperature == 1
        return
    for other in torch.logspace(-1.3, 1.3, 50).tolist():
        loss = float(functional.cross_entropy(logits.double() / other, labels))
        assert found.loss_after <= loss * (1 + 1e-6) + 1e-9


def test_logits_that_are_not_finite_are_left_as_they_are() -> None:
    assert calibration.fit(torch.tensor([[float("nan"), 0.0], [0.0, 1.0]]), torch.tensor([0, 0])).temperature == 1


def test_the_calibration_error_is_the_weighted_difference_of_confidence_and_accuracy() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.4, 0.6]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 1])
    expected = (3 * abs(2 / 3 - 0.9) + 1 * abs(1 - 0.6)) / 4
    assert calibration.expected_calibration_error(probabilities, labels) == pytest.approx(expected)


def test_certain_and_correct_predictions_have_no_calibration_error() -> None:
    assert calibration.expected_calibration_error(torch.eye(3), torch.arange(3)) == 0

"""The loss of many networks at once, beside the metrics."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from tests.trainables.training.test_metrics import Compute, draw, on_each_device


@on_each_device
@pytest.mark.parametrize("n_classes", [2, 3, 30])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
def test_the_loss_is_the_mean_cross_entropy(compute: Compute, n_classes: int, scale: float) -> None:
    logits, labels = draw(3, 50, n_classes)
    losses = compute(logits * scale, labels).losses
    expected = [float(functional.cross_entropy(each, labels)) for each in (logits.double() * scale)]
    assert losses.tolist() == pytest.approx(expected, rel=1e-6)


@on_each_device
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("n_classes", [2, 12])
def test_the_loss_of_logits_that_are_no_numbers_is_that_of_pytorch(
    compute: Compute, n_classes: int, value: float
) -> None:
    labels = torch.arange(n_classes)
    one = torch.zeros(n_classes, n_classes)
    one[0, :1] = value
    of_other = one.flip(1)  # the value is not that of the label
    whole = one.clone()
    whole[0] = value
    logits = torch.stack([one, of_other, whole])
    expected = [float(functional.cross_entropy(each, labels)) for each in logits]
    assert compute(logits, labels).losses.tolist() == pytest.approx(expected, nan_ok=True)

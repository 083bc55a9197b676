import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.nn import functional

from tests.trainables.training.closed_form.blobs import blobs, weighted
from trainables.training.closed_form import NearestMean, Ridge, TrainingSet


@pytest.mark.parametrize("training", [blobs(spread=0.5), weighted(blobs(spread=0.5))], ids=["plain", "weighted"])
def test_the_scores_are_multiplied_by_the_number_with_the_lowest_left_out_cross_entropy(training: TrainingSet) -> None:
    fit, weights, n = Ridge(training).fit(0.1), training.weights, len(training)
    assert fit.left_out is not None
    left_out = fit.left_out
    targets = functional.one_hot(training.labels, 3) * n / (n + 1) + 1 / (n + 1) / 3

    def loss(factor: float) -> float:
        return float(-(weights[:, None] * targets * (left_out * factor).log_softmax(dim=1)).sum())

    expected = minimize_scalar(loss, bounds=(0.01, 1000), method="bounded", options={"xatol": 1e-8}).x
    np.testing.assert_allclose(fit.logits(training).weight.numpy(), fit.weight.numpy() * expected, rtol=1e-4)


def test_classes_that_are_far_apart_do_not_make_the_logits_infinite() -> None:
    training = blobs(spread=50.0)
    fit = NearestMean(training).fit().logits(training).of_features(training)
    probabilities = (training.inputs.values.double() @ fit.weight.T + fit.bias).softmax(dim=1)
    assert float(probabilities.max(dim=1).values.min()) > 0.9
    assert float((1 - probabilities).min()) > 0


def test_a_class_without_an_image_gets_a_low_logit_for_any_features() -> None:
    training = blobs(spread=0.5)
    more = TrainingSet(training.inputs, training.labels * 2, 6)
    fit = Ridge(more).fit(0.1).logits(more).of_features(more)
    logits = 20 * torch.randn(100, 5, dtype=torch.float64) @ fit.weight.T + fit.bias
    assert float(logits.softmax(dim=1)[:, [1, 3, 5]].max()) < 1e-15

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from tests.trainables.training.closed_form.blobs import blobs, vectors, weighted
from trainables.training.closed_form import Logistic, TrainingSet


@pytest.mark.parametrize("l2", [1e-3, 0.1])
@pytest.mark.parametrize("training", [blobs(), weighted(blobs())], ids=["plain", "weighted"])
def test_it_converges_to_the_weights_of_scikit_learn(training: TrainingSet, l2: float) -> None:
    """Its penalty is half of the sum of the squares, beside C times the sum of the losses."""
    expected = LogisticRegression(C=1 / (2 * l2 * len(training)), tol=1e-10, max_iter=10000).fit(
        vectors(training), training.labels, sample_weight=training.weights.numpy()
    )
    found = Logistic(training, l2, iterations=200).fit()
    np.testing.assert_allclose(found.weight.numpy(), expected.coef_, atol=1e-4)
    bias = found.bias.numpy() - found.bias.numpy().mean()
    np.testing.assert_allclose(bias, expected.intercept_ - expected.intercept_.mean(), atol=1e-4)


def test_once_it_has_converged_further_iterations_change_nothing() -> None:
    regression = Logistic(blobs(), 0.1, iterations=200)
    first, second = regression.fit(), regression.fit()
    assert torch.equal(first.weight, second.weight)

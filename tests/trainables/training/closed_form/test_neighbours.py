import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from tests.trainables.training.closed_form.blobs import blobs
from trainables.training.closed_form import NearestNeighbours


@pytest.mark.parametrize("k", [1, 7])
@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_the_shares_of_the_votes_are_those_of_scikit_learn(k: int, distance: str) -> None:
    """Its probabilities lack the vote that all classes share. Its angles are those from the mean."""
    training, others = blobs(), blobs(50, seed=1).inputs.values
    mean, features = training.mean.numpy(), training.inputs.values.numpy()
    expected = KNeighborsClassifier(k, metric=distance).fit(features - mean, training.labels.numpy())
    probabilities = NearestNeighbours(training, k, distance)(others).exp().numpy()
    found = (probabilities * (k + 1) - 1 / 3) / k
    np.testing.assert_allclose(found, expected.predict_proba(others.numpy() - mean), atol=1e-5)


def test_a_training_image_without_its_own_vote_is_scored_by_the_others() -> None:
    training = blobs(20)
    rows = torch.arange(20)
    found = NearestNeighbours(training, 1, "euclidean").left_out(training.inputs.values, rows).argmax(dim=1)
    distances = torch.cdist(training.inputs.values, training.inputs.values).fill_diagonal_(torch.inf)
    assert torch.equal(found, training.labels[distances.argmin(dim=1)])

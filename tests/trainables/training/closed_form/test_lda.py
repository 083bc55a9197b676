import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from tests.trainables.training.closed_form.blobs import blobs, vectors, weighted
from trainables.training.closed_form import LDA, TrainingSet


@pytest.mark.parametrize("shrinkage", [1e-3, 0.3, 1.0])
@pytest.mark.parametrize("training", [blobs(), blobs(14, 20)], ids=["narrow", "wide"])
def test_the_discriminants_are_those_of_scikit_learn(training: TrainingSet, shrinkage: float) -> None:
    expected = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(vectors(training), training.labels)
    found = LDA(training).fit(shrinkage)
    np.testing.assert_allclose(found.weight.numpy(), expected.coef_, atol=1e-8)
    np.testing.assert_allclose(found.bias.numpy(), expected.intercept_, atol=1e-8)


@pytest.mark.parametrize("training", [blobs(20), weighted(blobs(20))], ids=["plain", "weighted"])
def test_the_left_out_scores_are_those_of_densities_without_the_image(training: TrainingSet) -> None:
    shrinkage, features, labels = 0.2, vectors(training), training.labels.numpy()
    weights, shares = training.weights.numpy(), training.shares.numpy()
    scores = LDA(training).left_out(shrinkage).numpy()
    means = np.stack([features[labels == label].mean(axis=0) for label in range(3)])
    deviations = features - means[labels]
    mean_variance = np.trace((deviations.T * weights) @ deviations / len(labels)) / features.shape[1]
    for index in range(len(labels)):
        keep = np.arange(len(labels)) != index
        if not (keep & (labels == labels[index])).any():
            continue
        left = np.stack([features[keep & (labels == label)].mean(axis=0) for label in range(3)])
        deviations = features[keep] - left[labels[keep]]
        covariance = (deviations.T * weights[keep]) @ deviations / len(labels)
        shrunk = (1 - shrinkage) * covariance + shrinkage * mean_variance * np.eye(features.shape[1])
        distances = [(features[index] - mean) @ np.linalg.solve(shrunk, features[index] - mean) for mean in left]
        expected = log_softmax(np.log(shares) - np.array(distances) / 2)
        np.testing.assert_allclose(log_softmax(scores[index]), expected, atol=1e-8)


def test_an_image_alone_in_its_class_has_no_left_out_score() -> None:
    training = blobs(20)
    labels = training.labels.clone()
    labels[labels == 2] = 0
    labels[3] = 2
    scores = LDA(TrainingSet(training.inputs, labels, 3)).left_out(0.5)
    assert scores.isnan().any(dim=1).nonzero().flatten().tolist() == [3]
    assert torch.isfinite(LDA(TrainingSet(training.inputs, labels, 3)).fit(0.5).logits(training).weight).all()

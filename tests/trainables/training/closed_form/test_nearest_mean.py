import numpy as np
from sklearn.neighbors import NearestCentroid

from tests.trainables.training.closed_form.blobs import blobs, vectors, without
from trainables.training.closed_form import NearestMean


def test_the_predicted_class_and_its_mean_are_those_of_scikit_learn() -> None:
    training, others = blobs(spread=0.5), vectors(blobs(200, seed=1, spread=0.5))
    expected = NearestCentroid().fit(vectors(training), training.labels)
    found = NearestMean(training).fit()
    np.testing.assert_allclose(found.weight.numpy(), expected.centroids_, atol=1e-12)
    scores = others @ found.weight.numpy().T + found.bias.numpy()
    assert (scores.argmax(axis=1) == expected.predict(others)).all()


def test_the_left_out_scores_are_half_the_distances_to_means_without_the_image() -> None:
    training = blobs(20)
    scores, features = NearestMean(training).left_out().numpy(), vectors(training)
    for index in range(len(training)):
        others, labels = without(training, index)
        means = np.stack([others[labels == label].mean(axis=0) for label in range(3)])
        distances = ((features[index] - means) ** 2).sum(axis=1)
        expected = ((features[index] ** 2).sum() - distances) / 2
        np.testing.assert_allclose(scores[index], expected, atol=1e-9)

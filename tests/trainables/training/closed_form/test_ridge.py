import numpy as np
import pytest
from sklearn.linear_model import Ridge as SklearnRidge

from tests.trainables.training.closed_form.blobs import blobs, vectors, weighted, without
from trainables.training.closed_form import Ridge, TrainingSet


@pytest.mark.parametrize("l2", [1e-4, 0.1, 10.0])
@pytest.mark.parametrize("training", [blobs(), weighted(blobs()), blobs(12, 20)], ids=["plain", "weighted", "wide"])
def test_the_weights_are_those_of_scikit_learn(training: TrainingSet, l2: float) -> None:
    """Its penalty is not divided by the number of images."""
    expected = SklearnRidge(alpha=l2 * len(training), tol=1e-12).fit(
        vectors(training), np.eye(3)[training.labels], sample_weight=training.weights.numpy()
    )
    found = Ridge(training).fit(l2)
    np.testing.assert_allclose(found.weight.numpy(), expected.coef_, atol=1e-9)
    np.testing.assert_allclose(found.bias.numpy(), expected.intercept_, atol=1e-9)


@pytest.mark.parametrize("training", [blobs(20), weighted(blobs(20))], ids=["plain", "weighted"])
def test_the_left_out_scores_are_those_of_regressions_without_the_image(training: TrainingSet) -> None:
    l2, weights = 0.05, training.weights.numpy()
    scores = Ridge(training).left_out(l2).numpy()
    for index in range(len(training)):
        features, labels = without(training, index)
        regression = SklearnRidge(alpha=l2 * len(training), tol=1e-12)
        regression.fit(features, np.eye(3)[labels], sample_weight=np.delete(weights, index))
        expected = regression.predict(vectors(training)[[index]])[0]
        np.testing.assert_allclose(scores[index], expected, atol=1e-9)

import numpy as np
import torch
from sklearn.linear_model import RidgeClassifier

from tests.trainables.training.closed_form.blobs import blobs, vectors
from trainables.ranking import is_correct, probe
from trainables.training.closed_form import Inputs, Ridge, TrainingSet


def test_each_image_is_classified_by_a_regression_on_the_other_folds() -> None:
    training = blobs(90, spread=0.7)
    folds = torch.arange(90) % 3
    found = is_correct(training.inputs, training.labels, folds, 3).numpy()
    expected = np.zeros(90, bool)
    for fold in range(3):
        keep = (folds != fold).numpy()
        part = TrainingSet(Inputs(training.inputs.values[keep]), training.labels[keep], 3)
        penalty = probe._penalty(Ridge(part), part)
        regression = RidgeClassifier(alpha=penalty * len(part)).fit(vectors(part), part.labels.numpy())
        others = (training.inputs.values[~keep].double() - part.mean) / part.scale
        expected[~keep] = regression.predict(others.numpy()) == training.labels[~keep].numpy()
    assert (found == expected).all()
    assert 0.5 < found.mean() < 1


def test_the_penalty_has_the_smallest_left_out_error_of_all() -> None:
    training = blobs(30, 20, spread=0.5)
    ridge, targets = Ridge(training), torch.eye(3)[training.labels]
    errors = {l2: float((ridge.left_out(l2) - targets).square().mean()) for l2 in probe.PENALTIES}
    assert errors[probe._penalty(ridge, training)] == min(errors.values()) < 0.9 * max(errors.values())


def test_images_that_no_fold_validates_are_only_trained_on() -> None:
    training = blobs(60)
    folds = torch.where(torch.arange(60) < 40, -1, 0)
    assert len(is_correct(training.inputs, training.labels, folds, 3)) == 20

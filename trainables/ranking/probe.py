"""The cross-validated linear probe: ridge regression on the features, with the penalty that each training part chooses.

The penalty is chosen inside the training part of each fold, by its leave-one-out error, so no image that is scored has
a say in it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from trainables.training.closed_form import Inputs, Ridge, TrainingSet

PENALTIES: tuple[float, ...] = tuple(10 / 2**i for i in range(16))
"""The penalties that are tried, from 10 to 3e-4. The features have the mean variance 1."""


def is_correct(inputs: Inputs, labels: Tensor, folds: Tensor, n_classes: int) -> Tensor:
    """Return whether the probe classifies each image correctly that a fold validates, bool (m,), in their order.

    `folds` (n,) is the number of the fold that validates each image, and -1 for an image that no fold validates. The
    probe of a fold is fitted on all images that it does not validate.
    """
    correct = torch.zeros(len(labels), dtype=torch.bool, device=labels.device)
    for fold in sorted(set(folds.tolist()) - {-1}):
        rows = torch.arange(len(labels), device=labels.device) if inputs.rows is None else inputs.rows
        is_validated = (folds == fold).to(labels.device)
        training = TrainingSet(
            Inputs(inputs.values, rows[~is_validated], inputs.pools), labels[~is_validated], n_classes
        )
        ridge = Ridge(training)
        fit = ridge.fit(_penalty(ridge, training)).of_features(training)
        validated = Inputs(inputs.values, rows[is_validated], inputs.pools)
        scores = torch.cat([validated.vectors(index) @ fit.weight.T + fit.bias for index in validated.slices()])
        correct[is_validated] = scores.argmax(dim=1) == labels[is_validated]
    return correct[folds >= 0]


def _penalty(ridge: Ridge, training: TrainingSet) -> float:
    """Return the penalty with the smallest mean squared leave-one-out error."""
    targets = functional.one_hot(training.labels, training.n_classes)
    return min(PENALTIES, key=lambda l2: float((ridge.left_out(l2) - targets).square().mean()))

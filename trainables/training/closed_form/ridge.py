"""Ridge regression on one-hot labels: the penalised least squares, solved exactly for any penalty.

A. E. Hoerl, R. W. Kennard: Ridge Regression: Biased Estimation for Nonorthogonal Problems, Technometrics 12, 1970.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from trainables.training.closed_form import eigenvectors
from trainables.training.closed_form.inputs import TrainingSet
from trainables.training.closed_form.linear import LinearFit


class Ridge:
    """The ridge regressions of a training set, for all penalties.

    It minimises the weighted mean of |y - z @ weight.T - bias|^2 plus `l2` times the sum of the squares of `weight`. y
    is the one-hot label, z are the centred and scaled features. The eigenvectors of the covariance are computed once.
    """

    def __init__(self, training: TrainingSet) -> None:
        """Raise SetupError if there are too many features for a covariance."""
        self._training = training
        variances, self._axes = eigenvectors.SHARED.get(training.covariance)
        self._variances: Tensor = variances.clamp(min=0)
        targets = training.shares[:, None] * training.class_means
        self._targets = (targets @ self._axes).T
        """(width, n_classes): the covariance of the rotated features and the one-hot labels."""
        self._rotated = torch.cat([features @ self._axes for _, features in training.chunks()])
        """(n, width): the features of the training images along the eigenvectors."""

    def fit(self, l2: float) -> LinearFit:
        """Return the classifier for the penalty `l2`, which must be above 0."""
        weight = (self._axes @ (self._targets / (self._variances + l2)[:, None])).T
        return LinearFit(weight, self._training.shares.clone(), self.left_out(l2))

    def left_out(self, l2: float) -> Tensor:
        """Return the scores of each training image by the regression without it, (n, n_classes).

        A regression without image i follows from that with it: (fitted - h * y) / (1 - h), where h is the leverage of
        the image. The centre and scale of the features stay those of all images.
        """
        labels, weights = self._training.labels, self._training.weights
        fitted = self._rotated @ (self._targets / (self._variances + l2)[:, None]) + self._training.shares
        norms = self._rotated.square() @ (1 / (self._variances + l2))
        leverages = (weights * (1 + norms) / len(weights))[:, None]
        return (fitted - leverages * functional.one_hot(labels, self._training.n_classes)) / (1 - leverages)

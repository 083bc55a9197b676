"""Linear discriminant analysis: normal distributions of the classes with one covariance, which is shrunk.

The shrunk covariance is (1 - shrinkage) * S + shrinkage * t * I. S is the covariance within the classes, t its mean
variance (J. H. Friedman: Regularized Discriminant Analysis, JASA 84, 1989).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from trainables.training.closed_form import eigenvectors
from trainables.training.closed_form.inputs import TrainingSet
from trainables.training.closed_form.linear import LinearFit

SMALLEST = 1e-12
"""The smallest variance of the shrunk covariance, as a share of the mean variance."""


class LDA:
    """The discriminants of a training set, for all shrinkages. The eigenvectors of S are computed once.

    The score of a class is the logarithm of its share in the training set times its density, up to a constant.
    """

    def __init__(self, training: TrainingSet) -> None:
        """Raise SetupError if there are too many features for a covariance."""
        self._training = training
        means = training.class_means
        within = training.covariance - (means.T * training.shares) @ means
        variances, self._axes = eigenvectors.SHARED.get(within)
        self._variances: Tensor = variances.clamp(min=0)
        self._means = means @ self._axes
        self._rotated = torch.cat([features @ self._axes for _, features in training.chunks()])

    def fit(self, shrinkage: float) -> LinearFit:
        """Return the classifier for a shrinkage, which must be above 0 and at most 1."""
        variances = self._shrunk(shrinkage)
        weight = self._means / variances
        bias = self._log_shares() - (self._means * weight).sum(dim=1) / 2
        return LinearFit(weight @ self._axes.T, bias, self.left_out(shrinkage))

    def left_out(self, shrinkage: float) -> Tensor:
        """Return the scores of each training image by the discriminant without it, (n, n_classes).

        Without the image, the mean of its class moves, and the covariance changes by a matrix of rank one. The shares
        of the classes, the sum of all weights and t stay those of all images. The row of an image is NaN if its class
        has no other image.
        """
        labels, variances = self._training.labels, self._shrunk(shrinkage)
        counts = self._training.counts[labels].double()
        moved = torch.where(counts > 1, counts / (counts - 1).clamp(min=1), torch.nan)  # of the mean, and of S
        deviations = self._rotated - self._means[labels]
        whitened = deviations / variances
        squares = (deviations * whitened).sum(dim=1)
        factor = (1 - shrinkage) * self._training.weights * moved / len(labels)
        gain = factor / (1 - factor * squares)
        to_means = self._means / variances
        norms = (self._means * to_means).sum(dim=1)
        distances = norms - 2 * self._rotated @ to_means.T  # without the square of the image, the same for all classes
        along = (whitened * self._rotated).sum(dim=1, keepdim=True) - whitened @ self._means.T
        distances = distances + gain[:, None] * along.square()
        own = moved.square() * (squares + gain * squares.square())
        own = own - (self._rotated.square() / variances).sum(dim=1)
        is_own = functional.one_hot(labels, self._training.n_classes).bool()
        scores: Tensor = self._log_shares() - torch.where(is_own, own[:, None], distances) / 2
        return scores

    def _shrunk(self, shrinkage: float) -> Tensor:
        """Return the eigenvalues of the shrunk covariance."""
        mean = float(self._variances.mean()) or 1.0
        return ((1 - shrinkage) * self._variances + shrinkage * mean).clamp(min=SMALLEST * mean)

    def _log_shares(self) -> Tensor:
        """Return the logarithms of the shares of the classes. A class without an image has that of half an image."""
        is_absent = self._training.counts == 0
        return self._training.shares.masked_fill(is_absent, 0.5 / len(self._training)).log()

"""The nearest class mean: the score of a class is half the negative squared distance to the mean of its images.

T. Mensink et al.: Distance-Based Image Classification: Generalizing to New Classes at Near-Zero Cost, PAMI 35, 2013.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from trainables.training.closed_form.inputs import TrainingSet
from trainables.training.closed_form.linear import LinearFit


class NearestMean:
    """The class means of a training set. The square of an image is the same for all classes, so scores are linear."""

    def __init__(self, training: TrainingSet) -> None:
        self._training = training

    def fit(self) -> LinearFit:
        """Return the classifier."""
        means = self._training.class_means
        return LinearFit(means.clone(), -means.square().sum(dim=1) / 2, self.left_out())

    def left_out(self) -> Tensor:
        """Return the scores of each training image, (n, n_classes), where the mean of its class is that of the others.

        The row of an image is NaN if its class has no other image.
        """
        labels, means = self._training.labels, self._training.class_means
        counts = self._training.counts.double()
        moved = torch.where(counts > 1, counts / (counts - 1).clamp(min=1), torch.nan)
        scores = []
        for index, features in self._training.chunks():
            own = labels[index]
            squares = (features - means[own]).square().sum(dim=1) * moved[own].square()
            of_own = (features.square().sum(dim=1) - squares) / 2
            of_all = features @ means.T - means.square().sum(dim=1) / 2
            is_own = functional.one_hot(own, self._training.n_classes).bool()
            scores.append(torch.where(is_own, of_own[:, None], of_all))
        return torch.cat(scores)

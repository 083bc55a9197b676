"""LinearFit: a linear classifier of centred and scaled features, and the logits that are made of its scores.

The scores of ridge regression, LDA and the nearest mean order the classes, but are no logits: their size is not that of
log-probabilities. So they are multiplied by one number, which minimises the cross-entropy of the training images when
each is scored by the classifier without it (leave-one-out). This is temperature scaling (C. Guo et al., On Calibration
of Modern Neural Networks, ICML 2017) without a validation part. A small share of each label is spread over all
classes, as if one more image had all labels. Without it, the number would be infinite if all images are scored right
(J. Platt, Probabilistic Outputs for Support Vector Machines, 1999, spreads labels for the same reason).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trainables.training.closed_form.inputs import TrainingSet

MIN_SPREAD, MAX_SPREAD = 1e-3, 100.0
"""The bounds of the standard deviation of the logits over the images and the classes."""
ABSENT = 50.0
"""How far the logit of a class without a training image lies below the mean logit of the other classes."""


@dataclass(frozen=True)
class LinearFit:
    """A linear classifier: the scores of features z, (n, width), are z @ weight.T + bias."""

    weight: Tensor
    """float64 (n_classes, width)."""
    bias: Tensor
    """float64 (n_classes,)."""
    left_out: Tensor | None
    """float64 (n, n_classes): the scores of each training image by the classifier without it.

    The row of an image is NaN if its class has no other image. None if the scores are logits already.
    """

    def logits(self, training: TrainingSet) -> LinearFit:
        """Return the classifier whose scores are logits. A class without an image in `training` gets low ones."""
        factor = 1.0 if self.left_out is None else _factor(self.left_out, training)
        weight, bias = self.weight * factor, self.bias * factor
        is_absent = training.counts == 0
        if is_absent.any():
            weight[is_absent] = weight[~is_absent].mean(dim=0)
            bias[is_absent] = bias[~is_absent].mean() - ABSENT
        return LinearFit(weight, bias, None)

    def of_features(self, training: TrainingSet) -> LinearFit:
        """Return the same classifier for features that are not centred and scaled as those of `training` are."""
        weight = self.weight / training.scale
        return LinearFit(weight, self.bias - weight @ training.mean, self.left_out)


def _factor(scores: Tensor, training: TrainingSet) -> float:
    """Return the factor of `scores` (n, n_classes) that minimises the weighted cross-entropy with spread labels.

    The cross-entropy is convex in the factor. 1 if no image has a finite score.
    """
    from scipy import optimize  # its import takes a second

    is_present, is_scored = training.counts > 0, scores.isfinite().all(dim=1)
    found, weights = scores[is_scored], training.weights[is_scored]
    spread = float(found[:, is_present].std()) if len(found) > 1 else 0.0
    if not spread > 0:
        return 1.0
    share = 1 / (len(found) + 1)
    targets = functional.one_hot(training.labels[is_scored], training.n_classes) * (1 - share)
    targets = targets + share * is_present / is_present.sum()
    hidden = found.masked_fill(~is_present, -torch.inf)

    def slope(factor: float) -> float:
        """The slope of the cross-entropy at a factor."""
        return float(weights @ (((hidden * factor).softmax(dim=1) - targets) * found).sum(dim=1))

    low, high = MIN_SPREAD / spread, MAX_SPREAD / spread
    if slope(low) >= 0:
        return low
    if slope(high) <= 0:
        return high
    return float(optimize.brentq(slope, low, high, rtol=1e-10))

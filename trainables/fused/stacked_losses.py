"""Stacked losses: the training losses of many heads and their gradients, computed together.

Each head has its own label smoothing, class weights and exponent of the focal loss. `trainables/training/losses.py` has
the formula. Its derivative with respect to the logits is written out here, because autograd would take longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from trainables.training.losses import Loss, failure


class BatchLoss(NamedTuple):
    """The result of one batch of each of k heads."""

    loss_sum: Tensor
    """The mean loss of the batch times its number of samples, (k,)."""
    n_correct: Tensor
    """The number of samples that were classified correctly, (k,)."""
    gradient: Tensor
    """The gradient of the mean loss with respect to the logits, (k, batch, n_classes)."""


class StackedLoss:
    """The losses of several heads. Only what some of them use is computed."""

    def __init__(self, losses: Sequence[Loss], device: torch.device) -> None:
        self._smoothing = per_member([loss.label_smoothing for loss in losses], 0.0, 3, device)
        self._gamma = per_member([loss.focal_gamma for loss in losses], 0.0, 3, device)
        weights = [loss.class_weights for loss in losses]
        some = next((each for each in weights if each is not None), None)
        self._class_weights = (
            None
            if some is None
            else torch.stack([torch.ones_like(some) if each is None else each for each in weights]).to(device)
        )
        """(n_members, n_classes), or None if no member has class weights."""

    def __call__(self, logits: Tensor, labels: Tensor, weight: float | Tensor) -> BatchLoss:
        """Compute the loss of logits (k, batch, n_classes) for labels (k, batch).

        `weight` is 1 / batch if each head has as many samples. Otherwise it is (k, batch, 1): 1 / the number of samples
        of the head, and 0 for padding.
        """
        is_sample = weight.squeeze(2) > 0 if isinstance(weight, Tensor) else None
        mean_weights = None
        if self._class_weights is not None:
            # The mean is divided by the sum of the weights of the samples, and not by their number.
            mean_weights = self._mean_weights(labels, is_sample)
            weight = weight / mean_weights[:, None, None]
        losses, gradient = self._losses_and_gradient(logits, labels, weight)
        is_correct = logits.argmax(dim=2) == labels
        if is_sample is not None:
            losses, is_correct = losses.masked_fill(~is_sample, 0), is_correct & is_sample
        loss_sum = losses.sum(dim=1)
        return BatchLoss(loss_sum if mean_weights is None else loss_sum / mean_weights, is_correct.sum(dim=1), gradient)

    def _mean_weights(self, labels: Tensor, is_sample: Tensor | None) -> Tensor:
        """Return the mean class weight of the samples in the batch of each head, (k,)."""
        assert self._class_weights is not None, "without class weights, no mean is needed"
        weights = self._class_weights[: len(labels)].gather(1, labels)
        if is_sample is None:
            return weights.mean(dim=1)
        return weights.masked_fill(~is_sample, 0).sum(dim=1) / is_sample.sum(dim=1)

    def _losses_and_gradient(self, logits: Tensor, labels: Tensor, weight: float | Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of each sample, (k, batch), and the gradient of their sum with respect to the logits.

        The gradient of each sample is multiplied by its `weight`, the loss is not.
        """
        targets, k = labels.unsqueeze(2), len(logits)
        if self._gamma is None and self._class_weights is None:
            smoothing = None if self._smoothing is None else self._smoothing[:k]
            losses, gradient = _cross_entropy(logits, targets, smoothing)
            return losses, gradient.mul_(weight)
        if self._smoothing is None:
            return self._of_labels(logits, targets, weight)
        return self._of_probabilities(logits, targets, self._smoothing[:k], weight)

    def _of_labels(self, logits: Tensor, targets: Tensor, weight: float | Tensor) -> tuple[Tensor, Tensor]:
        """As `_losses_and_gradient`, without label smoothing, for targets (k, batch, 1)."""
        k, log_probabilities = len(logits), logits.log_softmax(dim=2).gather(2, targets)
        # The gradient is that of the cross-entropy, times `slopes`.
        losses, slopes = -log_probabilities, torch.ones_like(log_probabilities)
        if self._gamma is not None:
            losses, slopes = _focal(log_probabilities, self._gamma[:k])
        if self._class_weights is not None:
            class_weights = self._class_weights[:k].gather(1, targets.squeeze(2)).unsqueeze(2)
            losses, slopes = losses * class_weights, slopes * class_weights
        slopes = slopes * weight
        gradient = logits.softmax(dim=2).mul_(slopes).scatter_add_(2, targets, -slopes)
        return losses.squeeze(2), gradient

    def _of_probabilities(
        self, logits: Tensor, targets: Tensor, smoothing: Tensor, weight: float | Tensor
    ) -> tuple[Tensor, Tensor]:
        """As `_losses_and_gradient`, for targets (k, batch, 1) with `smoothing`, (k, 1, 1)."""
        k, n_classes = len(logits), logits.shape[2]
        probabilities = (smoothing / n_classes).expand(logits.shape).clone()
        probabilities.scatter_add_(2, targets, (1 - smoothing).expand(targets.shape))
        if self._class_weights is not None:
            probabilities.mul_(self._class_weights[:k, None])
        log_probabilities = logits.log_softmax(dim=2)
        losses, slopes = -log_probabilities, probabilities * weight
        if self._gamma is not None:
            losses, factors = _focal(log_probabilities, self._gamma[:k])
            slopes.mul_(factors)
        gradient = log_probabilities.exp().mul_(slopes.sum(dim=2, keepdim=True)).sub_(slopes)
        return (losses * probabilities).sum(dim=2), gradient


def per_member(values: Sequence[float], neutral: float, ndim: int, device: torch.device) -> Tensor | None:
    """Return one value for each member as a tensor (n_members, 1, ...) of `ndim` dimensions.

    Returns None if all values are `neutral`, so that they need not be applied.
    """
    if all(value == neutral for value in values):
        return None
    return torch.tensor(values, device=device).reshape(-1, *[1] * (ndim - 1))


def _cross_entropy(logits: Tensor, targets: Tensor, smoothing: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of each sample, (k, batch), and the gradient of their sum.

    `targets` are labels (k, batch, 1). `smoothing` is (k, 1, 1), or None.
    """
    log_probabilities = logits.log_softmax(dim=2)
    losses, gradient = -log_probabilities.gather(2, targets).squeeze(2), logits.softmax(dim=2)
    if smoothing is None:
        minus_one = gradient.new_full((), -1.0).expand(targets.shape)
        return losses, gradient.scatter_add_(2, targets, minus_one)
    per_class = smoothing / logits.shape[2]
    losses = (1 - smoothing[..., 0]) * losses - per_class[..., 0] * log_probabilities.sum(dim=2)
    return losses, gradient.sub_(per_class).scatter_add_(2, targets, (smoothing - 1).expand(targets.shape))


def _focal(log_probabilities: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor]:
    """Return -(1 - p) ** gamma * log(p) of each probability p, and minus its derivative with respect to log(p)."""
    failures = failure(log_probabilities)
    factors = failures.pow(gamma)
    slopes = factors - gamma * (factors / failures) * log_probabilities.exp() * log_probabilities
    return -factors * log_probabilities, slopes

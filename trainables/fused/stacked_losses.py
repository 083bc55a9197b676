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
        loss, gradient = self._losses_and_gradients(logits, labels)
        is_correct = logits.argmax(dim=2) == labels
        is_sample = weight.squeeze(2) > 0 if isinstance(weight, Tensor) else None
        if is_sample is not None:
            loss, is_correct = loss.masked_fill(~is_sample, 0), is_correct & is_sample
        loss_sum, n_correct = loss.sum(dim=1), is_correct.sum(dim=1)
        if self._class_weights is None:
            return BatchLoss(loss_sum, n_correct, gradient.mul_(weight))
        # The mean is divided by the sum of the weights of the samples, and not by their number.
        weights = self._class_weights[: len(logits)].gather(1, labels)
        weights = weights if is_sample is None else weights.masked_fill(~is_sample, 0)
        n_samples = labels.shape[1] if is_sample is None else is_sample.sum(dim=1)
        mean_weight = weights.sum(dim=1) / n_samples
        return BatchLoss(loss_sum / mean_weight, n_correct, gradient.mul_(weight / mean_weight[:, None, None]))

    def _losses_and_gradients(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of each sample, (k, batch), and the gradient of their sum with respect to the logits.

        The loss of a sample is not divided by anything.
        """
        if self._smoothing is None:
            return self._of_labels(logits, labels.unsqueeze(2))
        if self._gamma is None and self._class_weights is None:
            return _smoothed(logits, labels.unsqueeze(2), self._smoothing[: len(logits)])
        return self._of_probabilities(logits, labels.unsqueeze(2), self._smoothing[: len(logits)])

    def _of_labels(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """As `_losses_and_gradients`, without label smoothing, for targets (k, batch, 1)."""
        log_probabilities = logits.log_softmax(dim=2).gather(2, targets)
        losses, gradient = -log_probabilities, logits.softmax(dim=2)
        if self._gamma is None and self._class_weights is None:
            minus_one = gradient.new_full((), -1.0).expand(targets.shape)
            return losses.squeeze(2), gradient.scatter_add_(2, targets, minus_one)
        # The gradient of the cross-entropy, times `slopes`.
        slopes = torch.ones_like(losses)
        if self._gamma is not None:
            losses, slopes = _focal(log_probabilities, self._gamma[: len(logits)])
        if self._class_weights is not None:
            weights = self._class_weights[: len(logits)].gather(1, targets.squeeze(2)).unsqueeze(2)
            losses, slopes = losses * weights, slopes * weights
        return losses.squeeze(2), gradient.mul_(slopes).scatter_add_(2, targets, -slopes)

    def _of_probabilities(self, logits: Tensor, targets: Tensor, smoothing: Tensor) -> tuple[Tensor, Tensor]:
        """As `_losses_and_gradients`, for targets (k, batch, 1) with `smoothing`, (k, 1, 1)."""
        probabilities = (smoothing / logits.shape[2]).expand(logits.shape).clone()
        probabilities.scatter_add_(2, targets, (1 - smoothing).expand(targets.shape))
        if self._class_weights is not None:
            probabilities.mul_(self._class_weights[: len(logits), None])
        log_probabilities = logits.log_softmax(dim=2)
        losses, slopes = -log_probabilities * probabilities, probabilities
        if self._gamma is not None:
            losses, slopes = (each * probabilities for each in _focal(log_probabilities, self._gamma[: len(logits)]))
        gradient = logits.softmax(dim=2).mul_(slopes.sum(dim=2, keepdim=True)).sub_(slopes)
        return losses.sum(dim=2), gradient


def per_member(values: Sequence[float], neutral: float, ndim: int, device: torch.device) -> Tensor | None:
    """Return one value for each member as a tensor (n_members, 1, ...) of `ndim` dimensions.

    Returns None if all values are `neutral`, so that they need not be applied.
    """
    if all(value == neutral for value in values):
        return None
    return torch.tensor(values, device=device).reshape(-1, *[1] * (ndim - 1))


def _smoothed(logits: Tensor, targets: Tensor, smoothing: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy with label smoothing, and its gradient, as `_losses_and_gradients`."""
    log_probabilities = logits.log_softmax(dim=2)
    loss, per_class = -log_probabilities.gather(2, targets).squeeze(2), smoothing / logits.shape[2]
    loss = (1 - smoothing[..., 0]) * loss - per_class[..., 0] * log_probabilities.sum(dim=2)
    gradient = logits.softmax(dim=2).sub_(per_class)
    return loss, gradient.scatter_add_(2, targets, (smoothing - 1).expand(targets.shape))


def _focal(log_probabilities: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor]:
    """Return -(1 - p) ** gamma * log(p) of each probability p, and minus its derivative with respect to log(p)."""
    failures = failure(log_probabilities)
    factors = failures.pow(gamma)
    slopes = factors - gamma * (factors / failures) * log_probabilities.exp() * log_probabilities
    return -factors * log_probabilities, slopes

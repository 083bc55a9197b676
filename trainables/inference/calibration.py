"""Calibration of probabilities: temperature scaling, and the expected calibration error.

C. Guo, G. Pleiss, Y. Sun, K. Weinberger: On Calibration of Modern Neural Networks, ICML 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

N_BINS = 15
"""The number of bins of the expected calibration error, as in the paper."""
LOWEST, HIGHEST = 0.05, 20.0
"""The bounds of the temperature."""
N_HALVINGS = 60
"""The number of times that the interval of the temperature is halved."""


@dataclass(frozen=True)
class Calibration:
    """A temperature, and what it changes on the samples that it was fitted on."""

    temperature: float
    n_samples: int
    loss_before: float
    """The mean cross-entropy of the logits, in nats."""
    loss_after: float
    """The mean cross-entropy of the logits divided by the temperature."""
    error_before: float
    """The expected calibration error without the temperature, in 0..1."""
    error_after: float
    """The expected calibration error with it."""


def fit(logits: Tensor, labels: Tensor) -> Calibration:
    """Fit the temperature by which logits (n, n_classes) are divided, on samples with `labels` (n,).

    It minimises the mean cross-entropy, within 0.05 and 20. So the loss is never higher than with a temperature of 1.
    If all samples are classified correctly, the loss falls with every lower temperature, which says nothing about new
    samples. The temperature is then 1, and so it is if a logit is not finite.
    """
    logits, labels = logits.detach().cpu().double(), labels.cpu()
    temperature = _minimum(logits, labels)
    before = float(functional.cross_entropy(logits, labels))
    after = float(functional.cross_entropy(logits / temperature, labels))
    if not after < before:
        temperature, after = 1.0, before
    return Calibration(
        temperature=temperature,
        n_samples=len(labels),
        loss_before=before,
        loss_after=after,
        error_before=expected_calibration_error(logits.softmax(dim=1), labels),
        error_after=expected_calibration_error((logits / temperature).softmax(dim=1), labels),
    )


def expected_calibration_error(probabilities: Tensor, labels: Tensor, n_bins: int = N_BINS) -> float:
    """Return how far the confidence in predictions differs from their accuracy, in 0..1.

    The samples are sorted into bins of equal width by the probability of their most likely class. The error is the mean
    of |accuracy - mean confidence| over the bins, weighted by their numbers of samples. `probabilities` is
    (n, n_classes), `labels` is (n,).
    """
    confidence, predicted = probabilities.max(dim=1)
    correct = (predicted == labels).to(confidence.dtype)
    # A confidence on the border of two bins belongs to the lower one, as in the paper.
    bins = (confidence * n_bins).ceil().long().clamp(1, n_bins) - 1
    differences = torch.zeros(n_bins, dtype=confidence.dtype).index_add_(0, bins, correct - confidence)
    return float(differences.abs().sum() / len(labels))


def _minimum(logits: Tensor, labels: Tensor) -> float:
    """The temperature of the lowest mean cross-entropy, by bisection.

    The loss is convex in the inverse of the temperature, so its slope there changes its sign at most once.
    """
    if not logits.isfinite().all() or bool((logits.argmax(dim=1) == labels).all()):
        return 1.0
    of_labels = logits.gather(1, labels[:, None]).squeeze(1)

    def slope(temperature: float) -> float:
        """The slope of the loss in 1 / temperature."""
        probabilities = (logits / temperature).softmax(dim=1)
        return float(((probabilities * logits).sum(dim=1) - of_labels).mean())

    low, high = LOWEST, HIGHEST
    for _ in range(N_HALVINGS):
        middle = (low * high) ** 0.5
        # A positive slope means that the inverse is too large, so the temperature is too low.
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return float((low * high) ** 0.5)

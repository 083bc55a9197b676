"""The metrics of a classifier: loss, accuracy, balanced accuracy, macro F1, AUROC and top-5 accuracy.

They are those of scikit-learn, but computed for several networks at once and on the device: an epoch of a head may take
only a few milliseconds. `metrics_cpu` uses NumPy, and PyTorch's exponential, which is faster.
`metrics_gpu` uses PyTorch alone.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from trainables.training import metrics_cpu, metrics_gpu

N_TOP = 5
MAX_WITHOUT_TOP_5 = 10
"""The top-5 accuracy is computed if there are more classes than this."""


class SampleResults(NamedTuple):
    """What a network gives for each sample: (n,) each, or (k, n) of k networks. On their device."""

    losses: Tensor
    """float32: the cross-entropy in nats."""
    predicted: Tensor
    """int64: the class with the highest logit."""


class Metrics(NamedTuple):
    """The metrics of k networks, on their device."""

    losses: Tensor
    """The mean cross-entropy of each network in nats, float64 (k,)."""
    values: Tensor
    """The other metrics, float64 (k, n_metrics). `names` gives the names of the columns."""
    samples: SampleResults | None = None
    """The results for each sample, (k, n)."""


def names(n_classes: int) -> tuple[str, ...]:
    """Return the names of the metrics beside the loss, for `n_classes` classes, in the order of `Metrics.values`.

    Each metric lies in 0..1, and higher is better.
    """
    always = ("accuracy", "balanced_accuracy", "f1", "auroc")
    return (*always, "top5_accuracy") if n_classes > MAX_WITHOUT_TOP_5 else always


def compute(logits: Tensor, labels: Tensor) -> Metrics:
    """Return the metrics of k networks.

    `logits` is float32 (k, n, n_classes), and `labels` is int64 (n,).

    - accuracy: the share of samples whose label has the highest logit
    - balanced_accuracy: the mean recall of the classes that occur in `labels`
    - f1: the mean F1 score of the classes that occur in `labels` or are predicted
    - auroc: the mean area under the ROC curve of the classes that occur in `labels`, each against the rest, by its
      probability. With two classes it is the area of the second. NaN if only one class occurs, or if a probability is
      NaN.
    - top5_accuracy: the share of samples whose label is among the five highest logits

    Of equal logits, that of the earlier class counts as higher.
    """
    n_top = N_TOP if logits.shape[2] > MAX_WITHOUT_TOP_5 else None
    losses = torch.empty(logits.shape[:2], device=logits.device)
    samples = SampleResults(losses, torch.empty_like(losses, dtype=torch.int64))
    if logits.device.type == "cpu":
        of_samples = samples.losses.numpy(), samples.predicted.numpy()
        columns = torch.from_numpy(metrics_cpu.compute(logits.numpy(), labels.numpy(), n_top, of_samples))
    else:
        columns = metrics_gpu.compute(logits, labels, n_top, samples)
    return Metrics(columns[:, 0], columns[:, 1:], samples)

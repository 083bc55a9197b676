"""The metrics of a classifier beside the loss: accuracy, balanced accuracy, macro F1, AUROC and top-5 accuracy.

They are those of scikit-learn, but computed for several networks at once and on the device: an epoch of a head may take
only a few milliseconds. `metrics_cpu` computes them with NumPy, and `metrics_gpu` with PyTorch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.training import metrics_cpu, metrics_gpu

N_TOP = 5
MAX_WITHOUT_TOP_5 = 10
"""The top-5 accuracy is computed if there are more classes than this."""


def names(n_classes: int) -> tuple[str, ...]:
    """Return the names of the metrics of a classifier of `n_classes` classes, in the order of the columns of `compute`.

    Each metric lies in 0..1, and higher is better.
    """
    always = ("accuracy", "balanced_accuracy", "f1", "auroc")
    return (*always, "top5_accuracy") if n_classes > MAX_WITHOUT_TOP_5 else always


def compute(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the metrics of k networks, float64 (k, n_metrics), on the device. `names` gives the names of the columns.

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
    if logits.device.type == "cpu":
        return torch.from_numpy(metrics_cpu.compute(logits.numpy(), labels.numpy(), n_top))
    return metrics_gpu.compute(logits, labels, n_top)

"""The metrics of classifiers on a CPU, mostly by NumPy. `trainables.training.metrics` defines them.

An epoch of a head may take only a few milliseconds, so each pass over the logits counts. PyTorch takes longer for small
operations and for sorting. Only its exponential is faster, so it is used.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.training import auroc_cpu
from trainables.training.auroc_cpu import Doubles, Floats, Integers

MAX_VALUES = 2**18
"""The largest number of logits that are computed with at a time, unless one network has more.

They fit into the cache.
"""
MAX_TRANSPOSED = 2**16
"""The largest number of logits of a network that are transposed at a time. They fit into the cache of a core."""
MAX_UINT8 = 255
"""The number of classes that are counted at a time: as bytes, NumPy adds up several times faster."""


def compute(
    logits: Floats, labels: Integers, n_top: int | None, of_samples: tuple[Floats, Integers] | None = None
) -> Doubles:
    """Return the loss and the other metrics, (k, 1 + n_metrics), of logits (k, n, n_classes) and labels (n,).

    The last column is the top-k accuracy with k = `n_top`. None: there is no such column. `of_samples` are overwritten
    with the loss and the predicted class of each sample, (k, n) each.
    """
    n_networks, n_samples, n_classes = logits.shape
    counts = np.bincount(labels, minlength=n_classes)
    step = max(1, MAX_VALUES // (n_samples * n_classes))
    with np.errstate(all="ignore"):  # of infinite logits, and of classes that do not occur
        # One buffer for all slices: new memory would cost as much time as several passes over it.
        buffer = np.empty((2, min(step, n_networks), n_classes, n_samples), np.float32)
        slices = []
        for i in range(0, n_networks, step):
            columns, odds, losses = _of_slice(logits[i : i + step], labels, counts, n_top, buffer)
            slices.append(columns)
            if of_samples is not None:
                of_samples[0][i : i + step] = losses
                of_samples[1][i : i + step].reshape(-1)[odds.samples] = odds.rows % n_classes
    return np.concatenate(slices)


def _of_slice(
    logits: Floats, labels: Integers, counts: Integers, n_top: int | None, buffer: Floats
) -> tuple[Doubles, auroc_cpu.Odds, Floats]:
    """Return the metrics of k networks, the odds, and the loss of each sample (k, n).

    `counts` (n_classes,) is the number of samples of each class.

    `buffer` (2, k or more, n_classes, n) is overwritten.
    """
    by_class, powers = buffer[:, : len(logits)]
    step = max(1, MAX_TRANSPOSED // len(counts))
    for start in range(0, len(labels), step):
        by_class[:, :, start : start + step] = logits[:, start : start + step].transpose(0, 2, 1)
    # The flat indices, in `by_class`, of the label and of the predicted class of each sample.
    of_networks = np.arange(0, by_class.size, by_class[0].size)[:, None]
    of_labels = of_networks + (labels * len(labels) + np.arange(len(labels)))
    highest = by_class.max(axis=1)
    at = np.flatnonzero(by_class == highest[:, None])  # faster than argmax
    if len(at) != highest.size or np.isnan(highest).any():  # the first class with the highest logit, or with NaN
        at = (of_networks + logits.argmax(axis=2) * len(labels) + np.arange(len(labels))).ravel()
    top = [] if n_top is None else [_top_accuracy(by_class, by_class.reshape(-1)[of_labels], labels, n_top)]
    odds = _odds(by_class, highest, at, powers)
    losses = odds.log_totals - odds.relative.reshape(-1)[of_labels]
    loss = losses.sum(axis=1, dtype=np.float64) / len(labels)
    of_predictions = _of_predictions(odds, of_labels, counts)
    return np.array([loss, *of_predictions, auroc_cpu.compute(odds, of_labels, labels, counts), *top]).T, odds, losses


def _odds(logits: Floats, highest: Floats, at: Integers, powers: Floats) -> auroc_cpu.Odds:
    """Return the odds of each class against the predicted one, of logits (k, n_classes, n).

    `highest` (k, n) is the logit of the predicted class of each sample, and `at` (k * n,) are its indices in the flat
    logits. The logits and `powers`, a buffer of the same shape, are overwritten.
    """
    relative = np.subtract(logits, highest[:, None], out=logits)
    torch.exp(torch.from_numpy(relative), out=torch.from_numpy(powers))
    powers.reshape(-1)[at] = 0
    sums = powers.sum(axis=1) + (highest - highest)  # NaN if the highest logit is NaN or infinite
    _, n_classes, n_samples = logits.shape
    rows = at // n_samples
    samples = at - (rows - rows // n_classes) * n_samples
    return auroc_cpu.Odds(relative, at, rows, samples, sums, np.log(sums), np.log1p(sums))


def _of_predictions(odds: auroc_cpu.Odds, of_labels: Integers, counts: Integers) -> tuple[Doubles, Doubles, Doubles]:
    """Return the accuracy, the balanced accuracy and the macro F1, (k,) each.

    `of_labels` (k, n) is the index of the label of each sample in the flat `odds.relative`.
    """
    shape = odds.relative.shape[:2]
    is_correct = of_labels.reshape(-1)[odds.samples] == odds.at
    n_predicted = np.bincount(odds.rows, minlength=shape[0] * shape[1]).reshape(shape)
    n_correct = np.bincount(odds.rows[is_correct], minlength=shape[0] * shape[1]).reshape(shape)
    total = n_predicted + counts
    recalls, f1 = n_correct / np.maximum(counts, 1), 2 * n_correct / np.maximum(total, 1)
    return (
        n_correct.sum(axis=1) / of_labels.shape[1],
        recalls.sum(axis=1) / np.count_nonzero(counts),
        f1.sum(axis=1) / (total > 0).sum(axis=1),
    )


def _top_accuracy(logits: Floats, of_label: Floats, labels: Integers, n_top: int) -> Doubles:
    """Return the share of samples whose label is among the `n_top` highest of logits (k, n_classes, n), (k,).

    `of_label` (k, n) is the logit of the label of each sample.
    """
    n_classes = logits.shape[1]
    n_higher = n_classes - _count(logits <= of_label[:, None])  # NaN counts as higher
    n_higher_or_equal = n_classes - _count(logits < of_label[:, None])
    is_hit = n_higher < n_top
    is_unsure = is_hit & (n_higher_or_equal > n_top)
    if is_unsure.any():
        network, sample = is_unsure.nonzero()
        is_equal = logits[network, :, sample] == of_label[network, sample][:, None]
        is_earlier = np.arange(n_classes) < labels[sample][:, None]
        is_hit[network, sample] = n_higher[network, sample] + (is_equal & is_earlier).sum(axis=1) < n_top
    result: Doubles = is_hit.sum(axis=1) / len(labels)
    return result


def _count(is_true: NDArray[np.bool_]) -> Integers:
    """Return how many values of each column of (k, m, n) are true, (k, n)."""
    as_bytes = is_true.view(np.uint8)
    result = np.zeros((len(is_true), is_true.shape[2]), np.int64)
    for start in range(0, is_true.shape[1], MAX_UINT8):
        result += as_bytes[:, start : start + MAX_UINT8].sum(axis=1, dtype=np.uint8)
    return result

"""The objective of a trial as one value for each validation image, whose mean is the objective.

Then intervals, paired comparisons and the correction for selection are about means, whatever the objective is.

- The loss, the error and the top-5 error are such means.
- The balanced error, the F1 error and the AUROC error are not. An image gets the objective plus its influence on it:
  the derivative of the objective by the image's weight (the infinitesimal jackknife: Efron, "The Jackknife, the
  Bootstrap and Other Resampling Plans", 1982). The influences of the AUROC are the placements of DeLong, DeLong and
  Clarke-Pearson (Biometrics 44, 1988). This is an approximation, which is rough for classes of one or two images.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hpo.statistics.units import Doubles, Integers, fold_weights

N_TOP = 5
"""The number of classes of the top-5 error."""


def per_image(objective: str, logits: NDArray[np.floating], labels: Integers, folds: Integers) -> Doubles | None:
    """Return the values of the images, (n,). None for an objective that is not one of ours.

    `objective` is one of `hpo.space.OBJECTIVES`, `logits` are (n, n_classes), and `labels` and `folds` (n,). With
    folds, the objective is the mean over the folds of the objective of each.
    """
    if objective in OF_CLASSES:
        predicted, of_classes = logits.astype(np.float32).argmax(axis=1), OF_CLASSES[objective]
        return over_folds(lambda part: of_classes(predicted[part], labels[part]), folds)
    if objective not in OF_LOGITS:
        return None
    of_logits = OF_LOGITS[objective]
    return over_folds(lambda part: of_logits(logits[part].astype(np.float32), labels[part]), folds)


def per_image_of_results(
    objective: str, losses: NDArray[np.floating], predicted: Integers, labels: Integers, folds: Integers
) -> Doubles | None:
    """Return what `per_image` returns, from the loss and the predicted class of each image, (n,).

    None for an objective that needs the logits: the AUROC error and the top-5 error.
    """
    if objective == "val_loss":
        return over_folds(lambda part: losses[part].astype(np.float64), folds)
    if objective not in OF_CLASSES:
        return None
    of_classes = OF_CLASSES[objective]
    return over_folds(lambda part: of_classes(predicted[part], labels[part]), folds)


def over_folds(function: Callable[[slice | NDArray[np.bool_]], Doubles], folds: Integers) -> Doubles:
    """Return the values of `function`, which takes the images of a fold. Their mean is the mean over the folds."""
    if bool((folds == folds[0]).all()):  # faster than to sort them, for the many epochs of a study
        return function(slice(None))
    weights, result = fold_weights(folds), np.empty(len(folds))
    for number in np.unique(folds):
        is_in = folds == number
        result[is_in] = weights[is_in] * function(is_in)
    return result


def of_folds(values: Doubles, folds: Integers) -> list[float]:
    """Return the objective in each fold, from the values of `per_image`, (n,). Empty if there is only one fold."""
    numbers, counts = np.unique(folds, return_counts=True)
    if len(numbers) == 1:
        return []
    shares = counts * len(numbers) / len(folds)
    return [float(values[folds == number].mean() * share) for number, share in zip(numbers, shares, strict=True)]


def _loss(logits: NDArray[np.float32], labels: Integers) -> Doubles:
    """The cross-entropy of each image."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: Doubles = np.log(np.exp(shifted).sum(axis=1, dtype=np.float64)) - shifted[np.arange(len(labels)), labels]
    return result


def _error(predicted: Integers, labels: Integers) -> Doubles:
    """1 for each image that is misclassified, else 0."""
    result: Doubles = (predicted != labels).astype(np.float64)
    return result


def _top5_error(logits: NDArray[np.float32], labels: Integers) -> Doubles:
    """1 for each image whose label is not among the five highest logits, else 0. Of equal ones, the earlier count."""
    own = logits[np.arange(len(labels)), labels][:, None]
    is_earlier = np.arange(logits.shape[1]) < labels[:, None]
    n_before = (logits > own).sum(axis=1) + ((logits == own) & is_earlier).sum(axis=1)
    result: Doubles = (n_before >= N_TOP).astype(np.float64)
    return result


def _balanced_error(predicted: Integers, labels: Integers) -> Doubles:
    """1 less the mean recall of the classes, and the influence of each image on it."""
    is_correct = predicted == labels
    counts = np.bincount(labels)
    recalls = np.bincount(labels, is_correct, len(counts)) / np.maximum(counts, 1)
    n_classes = np.count_nonzero(counts)
    influence = len(labels) * (is_correct - recalls[labels]) / (counts[labels] * n_classes)
    result: Doubles = 1 - recalls.sum() / n_classes - influence
    return result


def _f1_error(predicted: Integers, labels: Integers) -> Doubles:
    """1 less the mean F1 of the classes, and the influence of each image on it.

    F1 of a class is 2 c / (t + p), with c correct, t true and p predicted images. Its derivative by the weight of an
    image is 2 / (t + p) if the image is one of the correct ones, less F1 / (t + p) for being in t, and again for p.
    """
    n_classes = int(max(predicted.max(), labels.max())) + 1
    is_correct = predicted == labels
    total = np.bincount(labels, minlength=n_classes) + np.bincount(predicted, minlength=n_classes)
    per_total = 1 / np.maximum(total, 1)
    f1 = 2 * np.bincount(labels, is_correct, n_classes) * per_total
    n_shown = np.count_nonzero(total)
    influence = 2 * is_correct * per_total[labels] - (f1 * per_total)[labels] - (f1 * per_total)[predicted]
    result: Doubles = 1 - f1.sum() / n_shown - len(labels) / n_shown * influence
    return result


def _auroc_error(logits: NDArray[np.float32], labels: Integers) -> Doubles:
    """1 less the mean area under the ROC curve of the classes, and the influence of each image on it.

    The placement of an image of a class is the share of the other images that it beats, and that of another image the
    share of the class that beats it. With two classes only the second counts.
    """
    scores = logits - _log_others(logits)
    counts = np.bincount(labels, minlength=logits.shape[1])
    n = len(labels)
    classes = [k for k in ([1] if logits.shape[1] == 2 else range(len(counts))) if 0 < counts[k] < n]
    if not classes:
        return np.full(n, np.nan)
    areas, influence = 0.0, np.zeros(n)
    for k in classes:
        is_in = labels == k
        inside, outside = scores[is_in, k], scores[~is_in, k]
        beaten = _shares_below(inside, outside)
        beating = 1 - _shares_below(outside, inside)
        area = float(beaten.mean())
        areas += area
        influence[is_in] += n * (beaten - area) / len(inside)
        influence[~is_in] += n * (beating - area) / len(outside)
    result: Doubles = 1 - (areas + influence) / len(classes)
    return result


def _shares_below(scores: Doubles, others: Doubles) -> Doubles:
    """Return the share of `others` that is below each score, (n,). Equal ones count half."""
    ordered = np.sort(others)
    n_below = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    result: Doubles = n_below / (2 * len(others))
    return result


def _log_others(logits: NDArray[np.float32]) -> Doubles:
    """The logarithm of the sum of the exponentials of all other classes, (n, n_classes).

    The logit less this is the logarithm of the odds, which has the order of the probabilities and keeps small
    differences near 1.
    """
    highest = logits.max(axis=1, keepdims=True)
    powers = np.exp((logits - highest).astype(np.float64))
    others = powers.sum(axis=1, keepdims=True) - powers
    at = logits.argmax(axis=1)
    rows = np.arange(len(logits))
    without = powers.copy()
    without[rows, at] = 0
    others[rows, at] = without.sum(axis=1)
    result: Doubles = np.log(np.maximum(others, np.finfo(np.float64).tiny)) + highest
    return result


OF_LOGITS: dict[str, Callable[[NDArray[np.float32], Integers], Doubles]] = {
    "val_loss": _loss,
    "val_auroc_error": _auroc_error,
    "val_top5_error": _top5_error,
}
"""The value of each image by the objective, of the logits and the labels."""
OF_CLASSES: dict[str, Callable[[Integers, Integers], Doubles]] = {
    "val_error": _error,
    "val_balanced_error": _balanced_error,
    "val_f1_error": _f1_error,
}
"""The value of each image by the objective, of the predicted classes and the labels."""

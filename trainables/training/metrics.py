"""The metrics of a classifier beside the loss: accuracy, balanced accuracy, macro F1, AUROC and top-5 accuracy.

They are those of scikit-learn, but computed for several networks at once and on the device: an epoch of a head may take
only a few milliseconds. On a CPU, NumPy computes what PyTorch computes several times slower.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

N_TOP = 5
MAX_WITHOUT_TOP_5 = 10
"""The top-5 accuracy is computed if there are more classes than this."""
MAX_VALUES = {"cpu": 2**18, "cuda": 2**24}
"""The largest number of logits, by type of device, that are ranked at a time.

On a CPU, they fit into its cache. On a GPU, this limits the memory.
"""

MAX_UINT8 = 255
"""The number of classes that are counted at a time: as bytes, NumPy adds up several times faster."""

LOWEST_BITS = {"difference": 0x20000000, "log": 0x3F317218}
"""The bits, as float32, of 2^-63 and of log(2): the lowest sizes that `_keys_of_two` and `_keys` rank."""


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
    _, n_samples, n_classes = logits.shape
    counts = torch.bincount(labels, minlength=n_classes)
    predicted = _argmax(logits)
    columns = list(_of_predictions(predicted, labels, counts))
    step = max(1, MAX_VALUES["cuda" if logits.is_cuda else "cpu"] // (n_samples * n_classes))
    slices = zip(torch.split(logits, step), torch.split(predicted, step), strict=True)
    further = [_of_ranks(*each, labels, counts) for each in slices]
    return torch.cat([torch.stack(columns, dim=1), torch.cat(further)], dim=1)


def _of_predictions(predicted: Tensor, labels: Tensor, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the accuracy, the balanced accuracy and the macro F1 of predictions (k, n), float64 (k,) each.

    `counts` (n_classes,) is the number of samples of each class.
    """
    is_correct = (predicted == labels).long()
    per_class = counts.new_zeros(2, len(predicted), len(counts))
    n_predicted = per_class[0].scatter_add_(1, predicted, torch.ones_like(predicted))
    n_correct = per_class[1].scatter_add_(1, predicted, is_correct)
    total = n_predicted + counts
    recalls, f1 = n_correct.double() / counts.clamp(min=1), 2 * n_correct.double() / total.clamp(min=1)
    return (
        n_correct.sum(dim=1).double() / len(labels),
        recalls.sum(dim=1) / (counts > 0).sum(),
        f1.sum(dim=1) / (total > 0).sum(dim=1),
    )


def _of_ranks(logits: Tensor, predicted: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    """Return the AUROC and, for more than ten classes, the top-5 accuracy, float64 (k, n_metrics)."""
    by_class = _by_class(logits)  # a copy, which is overwritten
    columns = [_top_5_accuracy(by_class, labels)] if len(counts) > MAX_WITHOUT_TOP_5 else []
    return torch.stack([_auroc(by_class, predicted, labels, counts), *columns], dim=1)


def _auroc(logits: Tensor, predicted: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    """Return the mean area under the ROC curve, float64 (k,), of logits (k, n_classes, n), which are overwritten.

    The area of a class is the share of pairs of a sample of the class (a positive) and another sample (a negative) in
    which the positive has the higher probability. A pair with equal probabilities counts half. Sorting gives the rank
    of each positive, which is the number of samples below it. `predicted` (k, n) is the class with the highest logit.
    """
    n_networks, n_classes, n_samples = logits.shape
    highest = logits.gather(1, predicted.unsqueeze(1))
    is_undefined = ~highest.isfinite().all(dim=2).squeeze(1)  # NaN, infinity, or only -infinity: no probabilities
    first = 1 if n_classes == 2 else 0
    counts = counts[first:]
    keys = _keys_of_two(logits) if n_classes == 2 else _keys(logits, predicted.unsqueeze(1), highest)
    # The keys have one bit to spare. The lowest bit is 1 for a positive. Of equal keys, positives are sorted last.
    keys = keys.mul_(2).view(n_networks, -1)
    positives = (labels - first) * n_samples + torch.arange(n_samples, device=labels.device)
    if first:
        positives = positives[labels == 1]
    keys.index_add_(1, positives, keys.new_ones(()).expand(n_networks, len(positives)))
    keys = _sort(keys.view(-1, n_samples))
    places = _places_of_odd(keys)
    rows = places // n_samples
    sums = counts.new_zeros(len(keys)).scatter_add_(0, rows, places - rows * n_samples).view(n_networks, -1)
    n_negatives = n_samples - counts
    pairs = counts * n_negatives
    n_won = (sums - counts * (counts - 1) // 2).double() - _n_ties(keys, places, rows).view(n_networks, -1) / 2
    areas = n_won / pairs.clamp(min=1)
    return (areas * (pairs > 0)).sum(dim=1).div_((pairs > 0).sum()).masked_fill_(is_undefined, torch.nan)


def _keys_of_two(logits: Tensor) -> Tensor:
    """Return keys in the order of the probabilities of the second of two classes, int32 (k, 1, n).

    The keys lie within -2^30..2^30. `logits` is (k, 2, n). A probability rises with the difference of the logits, but
    float32 rounds it to 1 from a difference of about 17 on. So the difference is ranked. Differences below 2^-63 count
    as 0, and those above 2^64 as equal.
    """
    differences = logits[:, 1:] - logits[:, :1]
    sizes = differences.abs().clamp_(max=2.0**64).view(torch.int32).sub_(LOWEST_BITS["difference"]).clamp_(min=0)
    return torch.where(differences < 0, -sizes, sizes)


def _keys(logits: Tensor, predicted: Tensor, highest: Tensor) -> Tensor:
    """Return keys in the order of the probabilities, int32 (k, n_classes, n), within -2^30..2^30.

    `logits` (k, n_classes, n) are overwritten. `predicted` and `highest` (k, 1, n) are the class with the highest
    logit, and this logit. float32 rounds a probability p to 1 or 0 if it is very close to them. Therefore -log(p) is
    ranked if p < 0.5, and log(1 - p) otherwise, which keep small differences. Only the class with the highest logit can
    have p >= 0.5. Both are at least log(2) in size. The bits of a positive float, as an integer, have the order of the
    floats. Sizes above 2e38 count as equal.
    """
    lowest = LOWEST_BITS["log"]
    relative = logits.sub_(highest)
    relative.scatter_(1, predicted, -torch.inf)
    log_odds = _log_sum_exp(relative)  # of the other classes together, against that with the highest logit
    sizes = torch.sub(_softplus(log_odds), relative, out=relative)
    keys = sizes.clamp_(max=2e38).view(torch.int32).neg_().add_(lowest)
    of_highest = _softplus(log_odds.abs()).clamp_(max=2e38).view(torch.int32).sub_(lowest)
    return keys.scatter_(1, predicted, torch.where(log_odds > 0, -of_highest, of_highest))


def _log_sum_exp(values: Tensor) -> Tensor:
    """Return the logarithm of the sum of the exponentials of values (k, m, n), (k, 1, n).

    Equal columns have equal results. This is not so for `torch.logsumexp`, which adds up the last columns in another
    order.
    """
    highest = values.amax(dim=1, keepdim=True).clamp_(min=torch.finfo(values.dtype).min)  # -inf - -inf would be NaN
    powers = (values - highest).exp_()
    if powers.is_cuda:
        sums = powers.sum(dim=1, keepdim=True)
    else:
        sums = torch.from_numpy(np.add.reduce(powers.numpy(), axis=1, keepdims=True))
    return sums.log_().add_(highest)


def _softplus(values: Tensor) -> Tensor:
    """Return log(1 + exp(values)). Equal values have equal results, which is not so for that of PyTorch."""
    return values.abs().neg_().exp_().log1p_().add_(values.clamp(min=0))


def _n_ties(keys: Tensor, places: Tensor, rows: Tensor) -> Tensor:
    """Return the number of pairs of a positive and a negative with equal probabilities in each row, float64 (n_rows,).

    `keys` (n_rows, n) are the sorted keys. `places` are the flat indices of the positives, and `rows` their rows.
    """
    n_rows, n = keys.shape
    flat = keys.view(-1)
    of_positives = flat[places]
    # A positive is the first of its probability after at least one negative, if the key before it is the same but even.
    (first,) = ((of_positives - flat[places - 1] == 1) & (places > rows * n)).nonzero(as_tuple=True)
    result = torch.zeros(n_rows, dtype=torch.float64, device=keys.device)
    if len(first):
        tied_rows, row_numbers = rows[first].unique_consecutive(return_inverse=True)  # type: ignore[no-untyped-call]
        # The number of the row, before the key, makes one sorted sequence of all rows that have ties.
        ordered = keys[tied_rows] + (torch.arange(len(tied_rows), device=keys.device).unsqueeze(1) << 32)
        of_first = of_positives[first] + (row_numbers << 32)
        starts = torch.searchsorted(ordered.view(-1), of_first - 1)
        ends = torch.searchsorted(ordered.view(-1), of_first, right=True)
        middles = places[first] + (row_numbers - rows[first]) * n
        result.scatter_add_(0, rows[first], ((middles - starts) * (ends - middles)).double())
    return result


def _top_5_accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the top-5 accuracy, float64 (k,), of logits (k, n_classes, n)."""
    n_networks, n_classes, n_samples = logits.shape
    of_label = logits.gather(1, labels.expand(n_networks, 1, -1))
    n_higher = n_classes - _count(logits, of_label, or_equal=True)  # NaN counts as higher
    n_higher_or_equal = n_classes - _count(logits, of_label, or_equal=False)
    is_correct = n_higher < N_TOP
    is_unsure = is_correct & (n_higher_or_equal > N_TOP)
    if bool(is_unsure.any()):
        network, sample = is_unsure.nonzero(as_tuple=True)
        is_equal = logits[network, :, sample] == of_label[network, :, sample]
        is_earlier = torch.arange(n_classes, device=labels.device) < labels[sample].unsqueeze(1)
        n_before = n_higher[network, sample] + (is_equal & is_earlier).sum(dim=1)
        is_correct[network, sample] = n_before < N_TOP
    return is_correct.sum(dim=1).double() / n_samples


def _by_class(logits: Tensor) -> Tensor:
    """Return a copy of logits (k, n, n_classes), (k, n_classes, n)."""
    if logits.is_cuda:
        return logits.transpose(1, 2).clone(memory_format=torch.contiguous_format)
    return torch.from_numpy(np.array(logits.numpy().transpose(0, 2, 1), order="C"))


def _argmax(logits: Tensor) -> Tensor:
    """Return the index of the highest value in the last dimension, the first of several."""
    return logits.argmax(dim=-1) if logits.is_cuda else torch.from_numpy(logits.numpy().argmax(axis=-1))


def _sort(keys: Tensor) -> Tensor:
    """Sort each row of keys (n_rows, n)."""
    if keys.is_cuda:
        return keys.sort(dim=1).values
    keys.numpy().sort(axis=1)
    return keys


def _places_of_odd(keys: Tensor) -> Tensor:
    """Return the flat indices of the odd values of `keys`, in order."""
    if keys.is_cuda:
        return (keys & 1).view(-1).nonzero().squeeze(1)
    values: Any = keys.numpy()
    is_odd = np.empty(values.shape, np.bool_)
    np.bitwise_and(values, 1, out=is_odd, dtype=np.int32, casting="unsafe")
    return torch.from_numpy(np.flatnonzero(is_odd))


def _count(values: Tensor, limits: Tensor, *, or_equal: bool) -> Tensor:
    """Return how many values of each column of (k, m, n) lie below its limit (k, 1, n), int64 (k, n)."""
    if values.is_cuda:
        return (values <= limits if or_equal else values < limits).sum(dim=1)
    compare = np.less_equal if or_equal else np.less
    is_below: Any = compare(values.numpy(), limits.numpy())
    counts = np.zeros((len(values), values.shape[2]), np.int64)
    for start in range(0, values.shape[1], MAX_UINT8):
        counts += is_below[:, start : start + MAX_UINT8].view(np.uint8).sum(axis=1, dtype=np.uint8)
    return torch.from_numpy(counts)

"""The metrics of classifiers on a GPU, by PyTorch alone. `trainables.training.metrics` defines them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from trainables.training.auroc_cpu import LOG_2_BITS, LOWEST_DIFFERENCE_BITS

if TYPE_CHECKING:
    from trainables.training.metrics import SampleResults

MAX_VALUES = 2**24
"""The largest number of logits that are computed with at a time, unless one network has more. It limits the memory."""


def compute(logits: Tensor, labels: Tensor, n_top: int | None, of_samples: SampleResults | None = None) -> Tensor:
    """Return the loss and the other metrics, (k, 1 + n_metrics), of logits (k, n, n_classes) and labels (n,).

    The last column is the top-k accuracy with k = `n_top`. None: there is no such column. The tensors of `of_samples`,
    (k, n) each, are overwritten.
    """
    _, n_samples, n_classes = logits.shape
    counts = torch.bincount(labels, minlength=n_classes)
    step = max(1, MAX_VALUES // (n_samples * n_classes))
    columns = []
    for start in range(0, len(logits), step):
        part = logits[start : start + step]
        losses, predicted = _losses(part, labels), part.argmax(dim=2)
        columns.append(_of_slice(part, losses, predicted, labels, counts, n_top))
        if of_samples is not None:
            of_samples.losses[start : start + step] = losses
            of_samples.predicted[start : start + step] = predicted
    return torch.cat(columns)


def _of_slice(
    logits: Tensor, losses: Tensor, predicted: Tensor, labels: Tensor, counts: Tensor, n_top: int | None
) -> Tensor:
    """Return the metrics of k networks. `counts` (n_classes,) is the number of samples of each class."""
    loss = losses.mean(dim=1, dtype=torch.float64)
    by_class = logits.transpose(1, 2).clone(memory_format=torch.contiguous_format)  # a copy, which is overwritten
    top = [] if n_top is None else [_top_accuracy(by_class, labels, n_top)]
    areas = _auroc(by_class, predicted, labels, counts)
    return torch.stack([loss, *_of_predictions(predicted, labels, counts), areas, *top], dim=1)


def _losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of each sample, (k, n). One copy of the logits is made, less than the ranks need."""
    losses = functional.cross_entropy(logits.flatten(0, 1), labels.repeat(len(logits)), reduction="none")
    return losses.view(len(logits), -1)


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


def _auroc(logits: Tensor, predicted: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    """Return the mean area under the ROC curve, float64 (k,), of logits (k, n_classes, n), which are overwritten.

    Sorting gives the rank of each positive, which is the number of samples below it. `predicted` (k, n) is the class
    with the highest logit. `auroc_cpu` explains the area and the keys.
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
    keys = keys.view(-1, n_samples).sort(dim=1).values
    places = (keys & 1).view(-1).nonzero().squeeze(1)
    rows = places // n_samples
    sums = counts.new_zeros(len(keys)).scatter_add_(0, rows, places - rows * n_samples).view(n_networks, -1)
    n_negatives = n_samples - counts
    pairs = counts * n_negatives
    n_won = (sums - counts * (counts - 1) // 2).double() - _n_ties(keys, places, rows).view(n_networks, -1) / 2
    areas = n_won / pairs.clamp(min=1)
    return (areas * (pairs > 0)).sum(dim=1).div_((pairs > 0).sum()).masked_fill_(is_undefined, torch.nan)


def _keys_of_two(logits: Tensor) -> Tensor:
    """Return keys in the order of the probabilities of the second of two classes, int32 (k, 1, n).

    The keys lie within -2^30..2^30. `logits` is (k, 2, n).
    """
    differences = logits[:, 1:] - logits[:, :1]
    sizes = differences.abs().clamp_(max=2.0**64).view(torch.int32).sub_(LOWEST_DIFFERENCE_BITS).clamp_(min=0)
    return torch.where(differences < 0, -sizes, sizes)


def _keys(logits: Tensor, predicted: Tensor, highest: Tensor) -> Tensor:
    """Return keys in the order of the probabilities, int32 (k, n_classes, n), within -2^30..2^30.

    `logits` (k, n_classes, n) are overwritten. `predicted` and `highest` (k, 1, n) are the class with the highest
    logit, and this logit. Sizes above 2e38 count as equal.
    """
    relative = logits.sub_(highest)
    relative.scatter_(1, predicted, -torch.inf)
    log_odds = _log_sum_exp(relative)  # of the other classes together, against that with the highest logit
    sizes = torch.sub(_softplus(log_odds), relative, out=relative)
    keys = sizes.clamp_(max=2e38).view(torch.int32).neg_().add_(LOG_2_BITS)
    of_highest = _softplus(log_odds.abs()).clamp_(max=2e38).view(torch.int32).sub_(LOG_2_BITS)
    return keys.scatter_(1, predicted, torch.where(log_odds > 0, -of_highest, of_highest))


def _log_sum_exp(values: Tensor) -> Tensor:
    """Return the logarithm of the sum of the exponentials of values (k, m, n), (k, 1, n)."""
    highest = values.amax(dim=1, keepdim=True).clamp_(min=torch.finfo(values.dtype).min)  # -inf - -inf would be NaN
    return (values - highest).exp_().sum(dim=1, keepdim=True).log_().add_(highest)


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


def _top_accuracy(logits: Tensor, labels: Tensor, n_top: int) -> Tensor:
    """Return the share of samples whose label is among the `n_top` highest of logits (k, n_classes, n), float64 (k,).

    NaN counts as higher than each label.
    """
    n_networks, n_classes, n_samples = logits.shape
    of_label = logits.gather(1, labels.expand(n_networks, 1, -1))
    is_earlier = (torch.arange(n_classes, device=labels.device).unsqueeze(1) < labels) & (logits == of_label)
    n_before = (~(logits <= of_label) | is_earlier).sum(dim=1)
    return (n_before < n_top).sum(dim=1).double() / n_samples

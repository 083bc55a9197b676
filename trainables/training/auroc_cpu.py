"""The AUROC of classifiers on a CPU, by NumPy: keys in the order of the probabilities, and ranks by sorting them.

The AUROC of a class is the area under its ROC curve, against all other classes. It is the share of pairs of a sample of
the class (a positive) and another sample (a negative) in which the positive has the higher probability. A pair with
equal probabilities counts half. So only the order of the probabilities matters.

float32 rounds a probability p to 1 or 0 if it is very close to them. Therefore the keys are made of other values with
the same order, which keep small differences. The bits of a positive float, as an integer, have the order of the floats.

- With two classes, the key is the difference of the logits. Differences below 2^-63 count as 0, and those above 2^64 as
  equal.
- With more, it is -log(p) if p < 0.5, and log(1 - p) otherwise. Both are at least log(2) in size. Only the class with
  the highest logit can have p >= 0.5.

`metrics_gpu` ranks the same values.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]
Keys = NDArray[np.uint32]

SMALL_SUM = 1e-30
"""Smaller sums of float32 exponentials are inexact, because small exponentials are rounded to 0."""
LOG_2_BITS = 0x3F317218
"""The bits of log(2) as float32: the lowest size of the keys of three or more classes."""
LOWEST_DIFFERENCE_BITS = 0x20000000
"""The bits of 2^-63 as float32: the lowest size of the keys of two classes."""
MAX_SIZE = np.float32(7e37)
"""The largest size of log(1 - p) that `_keys` ranks. Larger ones count as equal."""


class Odds(NamedTuple):
    """The odds of each class against the predicted one, that with the highest logit, of k networks and n samples."""

    relative: Floats
    """The logarithm of the odds, (k, n_classes, n): the logit less the highest logit."""
    at: Integers
    """The index of the predicted class of each sample in the flat `relative`, (k * n,), in any order of the samples."""
    rows: Integers
    """The index of the same class among those of all networks, (k * n,)."""
    samples: Integers
    """The index of the same sample among those of all networks, (k * n,)."""
    sums: Floats
    """The sum of the odds of all other classes, (k, n)."""
    log_sums: Floats
    """The logarithm of `sums`."""
    log_totals: Floats
    """The logarithm of 1 + `sums`: -log(p) of the predicted class. NaN if there are no probabilities."""


def compute(odds: Odds, of_labels: Integers, labels: Integers, counts: Integers) -> Doubles:
    """Return the mean area under the ROC curve, (k,). `odds.relative` and `odds.log_sums` are overwritten.

    `of_labels` (k, n) is the index of the label of each sample in the flat `relative`, and `counts` (n_classes,) is the
    number of samples of each class.
    """
    n_networks, n_classes, n_samples = odds.relative.shape
    is_undefined = np.isnan(odds.log_totals).any(axis=1)
    if n_classes == 2:
        keys, counts = _keys_of_two(odds.relative), counts[1:]
        of_labels = np.arange(0, keys.size, n_samples)[:, None] + np.flatnonzero(labels == 1)
    else:
        keys = _keys(odds)
    keys[is_undefined] = 0  # the bits of NaN may be larger than `_n_lost` takes
    n_lost = _n_lost(keys.reshape(-1, n_samples), of_labels.ravel(), np.concatenate([counts] * n_networks))
    pairs = counts * (n_samples - counts)
    areas = (pairs > 0) - n_lost.reshape(n_networks, -1) / np.maximum(pairs, 1)
    result: Doubles = areas.sum(axis=1) / np.count_nonzero(pairs)
    result[is_undefined] = np.nan
    return result


def _keys_of_two(relative: Floats) -> Keys:
    """Return keys that fall with the probability of the second of two classes, (k, 1, n), at most 2^31 - 1.

    `relative` (k, 2, n) are the logits less the highest.
    """
    differences = relative[:, 1:] - relative[:, :1]
    sizes = np.minimum(np.abs(differences), np.float32(2.0**64)).view(np.int32)
    above_lowest = np.maximum(sizes - LOWEST_DIFFERENCE_BITS, 0)
    keys: Keys = (np.where(differences < 0, above_lowest, -above_lowest) + 2**30).view(np.uint32)
    return keys


def _keys(odds: Odds) -> Keys:
    """Return keys that fall with the probabilities, (k, n_classes, n), at most 2^31 - 1.

    The bits of -log(1 - p) are mirrored at log(2), because they rise with p.
    """
    relative, at, _, samples, sums, log_sums, log_totals = odds
    is_small = sums < SMALL_SUM
    if is_small.any():
        log_sums[is_small] = _log_sums(relative.transpose(0, 2, 1)[is_small])
    mirrored = 2 * LOG_2_BITS - np.minimum(log_totals - log_sums, MAX_SIZE).view(np.int32)
    keys: Keys = np.subtract(log_totals[:, None], relative, out=relative).view(np.uint32)
    keys.reshape(-1)[at] = np.where(sums < 1, mirrored, log_totals.view(np.int32)).reshape(-1)[samples]
    return keys


def _log_sums(relative: Floats) -> Floats:
    """Return the logarithm of the sum of the exponentials of all classes but the predicted one, (m,).

    `relative` (m, n_classes) is overwritten.
    """
    relative[np.arange(len(relative)), relative.argmax(axis=1)] = -np.inf
    highest = np.maximum(relative.max(axis=1), np.finfo(np.float32).min)  # -inf - -inf would be NaN
    result: Floats = np.log(np.exp(relative - highest[:, None]).sum(axis=1)) + highest
    return result


def _n_lost(keys: Keys, positives: Integers, counts: Integers) -> Doubles:
    """Return the number of pairs that the positives of each row lose, (n_rows,). A tie counts half.

    `keys` (n_rows, n), which are overwritten, fall with the probability, and are at most 2^31 - 2. `positives` are the
    flat indices of the positives of all rows, and `counts` (n_rows,) their numbers. Sorting the keys gives the number
    of negatives before each positive. Those behind the last positive win no pair, so their order does not matter. They
    all get the same key: NumPy sorts equal keys several times faster, and most are such after some training.
    """
    n_rows, n_samples = keys.shape
    flat = keys.reshape(-1)
    np.left_shift(keys, 1, out=keys)
    odd = flat[positives] + np.uint32(1)  # the mark of a positive; of equal keys, positives are sorted last
    flat[positives] = odd
    last = np.ones(n_rows, np.uint32)
    np.maximum.at(last, positives // n_samples, odd)
    np.minimum(keys, last[:, None] + np.uint32(1), out=keys)
    keys.sort(axis=1)
    is_positive = flat.astype(np.uint8)
    is_positive &= 1
    places = np.flatnonzero(is_positive.view(np.bool_))
    sums, ends = np.concatenate([[0], places.cumsum()]), counts.cumsum()
    n_before = sums[ends] - sums[ends - counts] - counts * np.arange(0, keys.size, n_samples)
    n_lost: Doubles = n_before - counts * (counts - 1) / 2
    # The first positive after a negative of the same key. At the start of a row, the negative may be that of the row
    # before: `_n_ties` counts no ties then, because it searches only within the row.
    tied = places[flat[places] - flat[places - 1] == 1]
    if len(tied):
        n_lost -= _n_ties(keys, tied) / 2
    return n_lost


def _n_ties(ordered: Keys, places: Integers) -> Integers:
    """Return the number of pairs of a positive and a negative with equal probabilities in each row, (n_rows,).

    `ordered` (n_rows, n) are the sorted keys. `places` are the flat indices of the first positive of each probability
    that a negative has too.
    """
    flat, n_samples = ordered.reshape(-1), ordered.shape[1]
    odd, rows = flat[places], places // n_samples
    even, starts = odd - np.uint32(1), rows * n_samples
    width, is_wider = 1, True  # most ties are of few samples, so their ends are searched nearby first
    while is_wider:
        lows, highs = np.maximum(places - width, starts), np.minimum(places + width, starts + n_samples)
        is_wider = width < n_samples and bool(((flat[lows] == even) | (flat[highs - 1] == odd)).any())
        width *= 2
    firsts = _first_at_least(flat, even, lows, places)
    ends = _first_at_least(flat, odd + np.uint32(1), places, highs)
    n_ties: Integers = np.bincount(rows, (places - firsts) * (ends - places), minlength=len(ordered))
    return n_ties


def _first_at_least(ordered: Keys, wanted: Keys, lows: Integers, highs: Integers) -> Integers:
    """Return the first index from `lows` on whose key is at least the wanted one, `highs` if there is none.

    `wanted`, `lows` and `highs` have shape (n_searches,). `ordered` is sorted between each low and its high. All
    searches are bisected together.
    """
    for _ in range(int((highs - lows).max()).bit_length()):
        middles = (lows + highs) >> 1
        is_before = (ordered[np.minimum(middles, len(ordered) - 1)] < wanted) & (lows < highs)
        lows = np.where(is_before, middles + 1, lows)
        highs = np.where(is_before, highs, middles)
    return lows

"""Stratified splits: training and validation, cross-validation folds, and a number of samples of each class.

scikit-learn draws the splits. They are stored on disk, because importing scikit-learn takes longer than everything else
that a worker does before its first epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.data.dataset import Part, Source, fingerprint
from trainables.errors import WrongValue
from trainables.store import store

Assignment = NDArray[np.int32]
"""(n,): for each sample the fold that validates on it, or for a split 0 if it is in the first part and 1 if not."""


class Split(NamedTuple):
    """The training part of a data set, split into samples that train and samples that validate."""

    train: Source
    validation: Source


def split(source: Source, *, classes: Sequence[str], fraction: float, seed: int) -> Split:
    """Split a stratified fraction of a training part off for validation.

    `fraction` is above 0 and below 1. The number of validation samples is rounded up. The same source, fraction and
    seed give the same split. Each class gets at least one sample in either part.

    Raises ValueError if a class has too few samples for that; the message names the first such class.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"`fraction` must lie between 0 and 1, but is {fraction!r}")
    n_validation = math.ceil(fraction * len(source))
    train, validation = split_indices(source.labels, n_second=n_validation, seed=seed, classes=classes)
    return Split(source.take(train), source.take(validation))


def split_into_folds(source: Source, *, classes: Sequence[str], n_folds: int, seed: int) -> tuple[Split, ...]:
    """Split a training part into `n_folds` stratified folds. Each fold is the validation part of one returned split.

    Raises ValueError if a class has fewer samples than there are folds; the message names the first such class.
    """
    _check_counts(source.labels, classes, n_folds, f"for {n_folds} folds")

    def draw(labels: NDArray[np.int64]) -> Assignment:
        from sklearn.model_selection import StratifiedKFold

        fold_of = np.empty(len(labels), dtype=np.int32)
        splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
        for fold, (_, validation) in enumerate(splitter.split(labels, labels)):
            fold_of[validation] = fold
        return fold_of

    fold_of = _draw_once(source.labels, ("folds", n_folds, seed), draw)
    return tuple(
        Split(source.take(_indices(fold_of != fold)), source.take(_indices(fold_of == fold))) for fold in range(n_folds)
    )


def sample_per_class(part: Part, n: int, *, seed: int, classes: Sequence[str], key: str) -> Part:
    """Return a part of `n` random images of each class. The draw follows from `seed`.

    Raises WrongValue if a class has fewer images. The message names the class and `key`, the hyperparameter whose value
    is `n`.
    """
    _check_counts(part.labels, classes, n, f"for `{key}` = {n}")
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(part), generator=generator)
    labels = part.labels.cpu()[order]
    chosen = torch.cat([order[labels == label][:n] for label in range(len(classes))])
    return part.take(sorted(chosen.tolist()))


def split_indices(labels: Tensor, *, n_second: int, seed: int, classes: Sequence[str]) -> tuple[list[int], list[int]]:
    """Split samples into two parts, stratified by `labels`. The second part gets `n_second` of them.

    Returns the indices of the samples in the first and in the second part, in increasing order.

    If a class has c of the n samples, the second part gets floor(c * n_second / n) of them, or one more. The same holds
    for the first part with n - n_second. Raises ValueError if this floor is 0 for a part, because the class might then
    have no sample there; the message names the first such class. Also raises ValueError if a part would be empty.
    """
    n = len(labels)
    if not 0 < n_second < n:
        raise ValueError(f"{n_second} of {n} samples cannot be cut off: both sides need at least one")
    needed = max(-(-n // n_second), -(-n // (n - n_second)))
    _check_counts(
        labels, classes, needed, f"to cut {n_second} off, stratified", "; a cut nearer to one half needs fewer"
    )

    def draw(labels: NDArray[np.int64]) -> Assignment:
        from sklearn.model_selection import train_test_split

        part_of = np.zeros(n, dtype=np.int32)
        part_of[train_test_split(range(n), test_size=n_second, stratify=labels, random_state=seed)[1]] = 1
        return part_of

    # "cut" is a part of the keys in existing stores.
    part_of = _draw_once(labels, ("cut", n_second, seed), draw)
    return _indices(part_of == 0), _indices(part_of == 1)


def _draw_once(labels: Tensor, rule: tuple[object, ...], draw: Callable[[NDArray[np.int64]], Assignment]) -> Assignment:
    """Return what `draw` returns for `labels`, from the store if it is there.

    `rule` identifies the kind of split and its arguments. The releases of scikit-learn and NumPy are a part of the key,
    because another release may draw another split.
    """
    n_bytes = len(labels) * np.dtype(np.int32).itemsize
    disk = store.shared()
    if disk is None or not disk.has_room(n_bytes):
        return draw(labels.cpu().numpy())

    def fill(content: store.Bytes, advance: store.Advance) -> None:
        content.view(np.int32)[:] = draw(labels.cpu().numpy())

    key = (*rule, fingerprint(labels), version("scikit-learn"), version("numpy"))
    description = f"the {rule[0]} of {len(labels):,} labels"
    found = disk.get("cut", key, n_bytes, description, fill)
    return draw(labels.cpu().numpy()) if found is None else found.content.view(np.int32)


def _indices(chosen: NDArray[np.bool_]) -> list[int]:
    return [int(index) for index in chosen.nonzero()[0]]


def _check_counts(labels: Tensor, classes: Sequence[str], needed: int, purpose: str, remedy: str = "") -> None:
    """Raise WrongValue if a class has fewer than `needed` samples. `purpose` and `remedy` are parts of the message."""
    for name, count in zip(classes, torch.bincount(labels, minlength=len(classes)).tolist(), strict=True):
        if count < needed:
            raise WrongValue(
                f"class {name!r} has {count} of {len(labels)} samples: {purpose}, "
                f"each class needs at least {needed}{remedy}"
            )

"""Stratified cuts: validation out of a training part, folds, so many samples of a class.

scikit-learn draws them. What it drew is kept in the store: to import it takes longer than all else that a worker
does before its first epoch. No cut here asks for a held-out part.
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

Sides = NDArray[np.int32]
"""(n,): for each sample the fold in whose validation part it is; in a cut, 1 where it is cut off, else 0."""


class Split(NamedTuple):
    """The training part of a data set, cut in two."""

    train: Source
    validation: Source


def split(source: Source, *, classes: Sequence[str], fraction: float, seed: int) -> Split:
    """Split a stratified `fraction` (above 0, below 1, rounded up to a sample) of a training part off as validation.

    The same source, fraction and seed give the same cut. Each class keeps at least one sample on
    either side; a ValueError names the first that has too few for that.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"`fraction` must lie between 0 and 1, but is {fraction!r}")
    n_validation = math.ceil(fraction * len(source))
    kept, cut_off = cut(source.labels, n_cut=n_validation, seed=seed, classes=classes)
    return Split(source.take(kept), source.take(cut_off))


def folds(source: Source, *, classes: Sequence[str], n_folds: int, seed: int) -> tuple[Split, ...]:
    """Split a training part into `n_folds` stratified folds, each of which is the validation part once.

    A ValueError names the first class that has fewer samples than there are folds.
    """
    _check_counts(source.labels, classes, n_folds, f"for {n_folds} folds")

    def draw(labels: NDArray[np.int64]) -> Sides:
        from sklearn.model_selection import StratifiedKFold

        sides = np.empty(len(labels), dtype=np.int32)
        cutter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
        for fold, (_, cut_off) in enumerate(cutter.split(labels, labels)):
            sides[cut_off] = fold
        return sides

    sides = _drawn(source.labels, ("folds", n_folds, seed), draw)
    return tuple(
        Split(source.take(_where(sides != fold)), source.take(_where(sides == fold))) for fold in range(n_folds)
    )


def per_class(part: Part, n: int, *, seed: int, classes: Sequence[str], key: str) -> Part:
    """`n` random images of each class, by seed; a WrongValue names `key` and the first class that has fewer."""
    _check_counts(part.labels, classes, n, f"for `{key}` = {n}")
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(part), generator=draw)
    labels = part.labels.cpu()[order]
    chosen = torch.cat([order[labels == label][:n] for label in range(len(classes))])
    return part.take(sorted(chosen.tolist()))


def cut(labels: Tensor, *, n_cut: int, seed: int, classes: Sequence[str]) -> tuple[list[int], list[int]]:
    """Split `n_cut` of the samples off, stratified by `labels`; the indices kept and cut off, both rising.

    A class of c among n samples gets floor(c * n_cut / n) of the places or one more, so it is sure of
    a sample on either side where that floor is at least 1 on both; else a ValueError names it.
    """
    n = len(labels)
    if not 0 < n_cut < n:
        raise ValueError(f"{n_cut} of {n} samples cannot be cut off: both sides need at least one")
    needed = max(-(-n // n_cut), -(-n // (n - n_cut)))
    _check_counts(labels, classes, needed, f"to cut {n_cut} off, stratified", "; a cut nearer to one half needs fewer")

    def draw(labels: NDArray[np.int64]) -> Sides:
        from sklearn.model_selection import train_test_split

        sides = np.zeros(n, dtype=np.int32)
        sides[train_test_split(range(n), test_size=n_cut, stratify=labels, random_state=seed)[1]] = 1
        return sides

    sides = _drawn(labels, ("cut", n_cut, seed), draw)
    return _where(sides == 0), _where(sides == 1)


def _drawn(labels: Tensor, rule: tuple[object, ...], draw: Callable[[NDArray[np.int64]], Sides]) -> Sides:
    """What `draw` draws of `labels` by `rule`; from the store, where it was drawn before by the same releases."""
    n_bytes = len(labels) * np.dtype(np.int32).itemsize
    disk = store.shared()
    if disk is None or not disk.has_room(n_bytes):
        return draw(labels.cpu().numpy())

    def fill(content: store.Bytes, advance: store.Advance) -> None:
        content.view(np.int32)[:] = draw(labels.cpu().numpy())

    key = (*rule, fingerprint(labels), version("scikit-learn"), version("numpy"))
    words = f"the {rule[0]} of {len(labels):,} labels"
    found = disk.get("cut", key, n_bytes, words, fill)
    return draw(labels.cpu().numpy()) if found is None else found.content.view(np.int32)


def _where(chosen: NDArray[np.bool_]) -> list[int]:
    return [int(index) for index in chosen.nonzero()[0]]


def _check_counts(labels: Tensor, classes: Sequence[str], needed: int, purpose: str, remedy: str = "") -> None:
    for name, count in zip(classes, torch.bincount(labels, minlength=len(classes)).tolist(), strict=True):
        if count < needed:
            raise WrongValue(
                f"class {name!r} has {count} of {len(labels)} samples: {purpose}, "
                f"each class needs at least {needed}{remedy}"
            )

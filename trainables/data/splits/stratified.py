"""Stratified splits: training and validation, cross-validation folds, and a number of samples of each class.

A split depends on the seed and on the samples, and not on how many there are or where they stand. Each sample gets a
hash of the seed and of its key: the name of a file relative to the folder of its data set, or the pixels of an image in
memory. The samples of a class are sorted by this hash, and the first of them validate. So one more image in a class
moves at most one other image of that class for a fraction, and one image for each border between two folds. Images of
other classes stay where they are.

Files are hashed by name and not by content, so a file that is saved again stays in its part. Two files of equal content
may fall into different parts: `hpo data` finds them. Equal images in memory have equal hashes.

Files that have groups are split by their groups: see `trainables/data/splits/grouped.py`. It says what is stable then.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.data.dataset import Files, Part, Source
from trainables.data.fingerprint import N_PER_BATCH
from trainables.data.splits import grouped
from trainables.data.splits.grouped import Assignment
from trainables.data.splits.hashing import seeded_hash
from trainables.data.splits.rare_classes import TooFewSamples, check_counts, n_needed
from trainables.errors import WrongValue


class Split(NamedTuple):
    """The training part of a data set, split into samples that train and samples that validate."""

    train: Source
    validation: Source


def split(source: Source, *, classes: Sequence[str], fraction: float, seed: int, keep_rare: bool = False) -> Split:
    """Split a stratified fraction of a training part off for validation: `assign_fraction`, then `apply`."""
    assignment = assign_fraction(source, classes=classes, fraction=fraction, seed=seed, keep_rare=keep_rare)
    (only,) = apply(source, assignment, n_folds=None)
    return only


def split_into_folds(
    source: Source, *, classes: Sequence[str], n_folds: int, seed: int, keep_rare: bool = False
) -> tuple[Split, ...]:
    """Split a training part into stratified folds: `assign_folds`, then `apply`."""
    assignment = assign_folds(source, classes=classes, n_folds=n_folds, seed=seed, keep_rare=keep_rare)
    return apply(source, assignment, n_folds=n_folds)


def apply(source: Source, assignment: Sequence[int] | Assignment, *, n_folds: int | None) -> tuple[Split, ...]:
    """Return the splits that an assignment stands for: one for each fold, or a single one if `n_folds` is None.

    Raises ValueError if the assignment is not of as many samples as `source` has.
    """
    if len(assignment) != len(source):
        raise ValueError(f"the split is of {len(assignment)} samples, but there are {len(source)}")
    part_of = np.asarray(assignment)
    validating = [1] if n_folds is None else list(range(n_folds))
    return tuple(
        Split(source.take(_indices(part_of != number)), source.take(_indices(part_of == number)))
        for number in validating
    )


def assign_fraction(
    source: Source, *, classes: Sequence[str], fraction: float, seed: int, keep_rare: bool = False
) -> Assignment:
    """Assign a stratified fraction of the samples to the second part: 1, and 0 for the others.

    `fraction` is above 0 and below 1. Of the c samples of a class, the second part gets fraction * c, rounded to the
    nearest number (half up), and either part gets at least one.

    Groups of files are not divided, so the numbers may differ from these.

    Raises TooFewSamples if a class has fewer than 1 / fraction or 1 / (1 - fraction) samples; the message names the
    first such class. With `keep_rare`, two samples are enough. With groups, samples of two groups are enough.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"`fraction` must lie between 0 and 1, but is {fraction!r}")
    needed = 2 if keep_rare else n_needed(fraction, source)
    check_counts(source, classes, needed, f"to cut {math.ceil(fraction * len(source) - 1e-9)} off, stratified")
    if isinstance(source, Files) and source.groups:
        with _class_named(source, classes):
            return grouped.assign_fraction(
                source.labels.numpy(), source.groups, n_classes=len(classes), fraction=fraction, seed=seed
            )
    part_of = np.zeros(len(source), dtype=np.int32)
    for _, members in _sorted_classes(source, classes, seed):
        part_of[members[: n_second(fraction, len(members))]] = 1
    return part_of


def n_second(fraction: float, n: int) -> int:
    """Return how many of the `n` samples of a class `assign_fraction` puts into the second part."""
    return min(max(math.floor(fraction * n + 0.5), 1), n - 1)


def assign_folds(
    source: Source, *, classes: Sequence[str], n_folds: int, seed: int, keep_rare: bool = False
) -> Assignment:
    """Assign the samples to stratified folds, numbered from 0. The numbers of samples of a class differ by at most 1.

    Groups of files are not divided, so the numbers may differ by more.

    Raises TooFewSamples if a class has fewer samples than there are folds, or fewer groups if there are any; the
    message names the first such class. With `keep_rare`, two are enough: then some folds validate on none of this
    class, and all train on it. Raises ValueError if there are fewer groups than folds.
    """
    check_counts(source, classes, 2 if keep_rare else n_folds, f"for {n_folds} folds")
    if isinstance(source, Files) and source.groups:
        if (n_groups := len(set(source.groups))) < n_folds:
            raise ValueError(f"{n_folds} folds need at least {n_folds} groups, but there are {n_groups}")
        with _class_named(source, classes):
            return grouped.assign_folds(
                source.labels.numpy(), source.groups, n_classes=len(classes), n_folds=n_folds, seed=seed
            )
    fold_of = np.zeros(len(source), dtype=np.int32)
    for name, members in _sorted_classes(source, classes, seed):
        # Without an offset for each class, the first fold would get the surplus sample of every class.
        offset = seeded_hash(seed, os.fsencode(name)) % n_folds
        fold_of[members] = (np.arange(len(members)) * n_folds // len(members) + offset) % n_folds
    return fold_of


@contextlib.contextmanager
def _class_named(source: Source, classes: Sequence[str]) -> Iterator[None]:
    """Inside this context, a CannotSplit becomes a ValueError that names the class."""
    try:
        yield
    except grouped.CannotSplit as error:
        raise ValueError(
            f"the groups of class {classes[error.label]!r} cannot be divided so that each part has images of every "
            "class; use smaller groups, or add images"
        ) from None


def sample_per_class(part: Part, n: int, *, seed: int, classes: Sequence[str], key: str) -> Part:
    """Return a part of `n` random images of each class. The draw follows from `seed`.

    Raises WrongValue if a class has fewer images. The message names the class and `key`, the hyperparameter whose value
    is `n`.
    """
    try:
        check_counts(part, classes, n, f"for `{key}` = {n}")
    except TooFewSamples as error:  # here it is the value of a hyperparameter that is wrong, and not the data set
        raise WrongValue(str(error)) from None
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(part), generator=generator)
    labels = part.labels.cpu()[order]
    chosen = torch.cat([order[labels == label][:n] for label in range(len(classes))])
    return part.take(sorted(chosen.tolist()))


def _sorted_classes(source: Source, classes: Sequence[str], seed: int) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the name of each class, and the indices of its samples, sorted by their hashes."""
    hashes = np.array([seeded_hash(seed, key) for key in _keys(source)], dtype=np.uint64)
    order = np.argsort(hashes, kind="stable")
    labels = source.labels.cpu().numpy()[order]
    for label, name in enumerate(classes):
        yield name, order[labels == label]


def _keys(source: Source) -> Iterator[bytes]:
    """Yield the key of each sample: the relative name of a file, or the pixels of an image in memory."""
    if isinstance(source, Files):
        yield from map(os.fsencode, source.names)
        return
    for start in range(0, len(source), N_PER_BATCH):
        batch = source.batch(slice(start, start + N_PER_BATCH)).cpu().contiguous()
        yield from (image.tobytes() for image in batch.numpy())


def _indices(chosen: NDArray[np.bool_]) -> list[int]:
    return [int(index) for index in chosen.nonzero()[0]]

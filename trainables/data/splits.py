"""Stratified splits: training and validation, cross-validation folds, and a number of samples of each class.

A split depends on the seed and on the samples, and not on how many there are or where they stand. Each sample gets a
hash of the seed and of its key: the name of a file relative to the folder of its data set, or the pixels of an image in
memory. The samples of a class are sorted by this hash, and the first of them validate. So one more image in a class
moves at most one other image of that class for a fraction, and one image for each border between two folds. Images of
other classes stay where they are.

Files are hashed by name and not by content, so a file that is saved again stays in its part. Two files of equal content
may fall into different parts: `hpo data` finds them. Equal images in memory have equal hashes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.data.dataset import N_PER_BATCH, Files, Part, Source
from trainables.errors import WrongValue

Assignment = NDArray[np.int32]
"""(n,): for each sample the fold that validates on it, or for a split 0 if it is in the first part and 1 if not."""

RARE_CLASSES = ("error", "keep", "leave_out")
"""What to do with a class that has too few samples for a stratified split: raise an error, put at least one sample into
each part nevertheless, or leave the class out."""

HASH_BYTES = 8


class Split(NamedTuple):
    """The training part of a data set, split into samples that train and samples that validate."""

    train: Source
    validation: Source


class TooFewSamples(ValueError):
    """Some classes have too few samples to be split. The message names the first of them."""

    def __init__(self, message: str, counts: Mapping[str, int], needed: int, n_classes: int) -> None:
        """`counts` holds the number of samples of each rare class, `needed` is how many it needs."""
        super().__init__(message)
        self.counts = counts
        self.needed = needed
        self.n_classes = n_classes

    def first(self) -> str:
        """Return the first rare class and its number of images, in words."""
        name, count = next(iter(self.counts.items()))
        return f"class {name!r} has {_n_images(count)}"

    def remedy(self, *, can_keep: bool) -> str:
        """Return which values of `dataset.rare_classes` help, in words. `can_keep` is whether `keep` does."""
        values = [*(["keep"] if can_keep else []), *(["leave_out"] if self.n_classes - len(self.counts) >= 2 else [])]
        return f"; set `dataset.rare_classes` to {' or '.join(values)}, or add images" if values else "; add images"


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

    Raises ValueError if a class has fewer than 1 / fraction or 1 / (1 - fraction) samples; the message names the first
    such class. With `keep_rare`, two samples are enough.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"`fraction` must lie between 0 and 1, but is {fraction!r}")
    needed = 2 if keep_rare else n_needed(fraction)
    _check_counts(source, classes, needed, f"to cut {math.ceil(fraction * len(source) - 1e-9)} off, stratified")
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

    Raises ValueError if a class has fewer samples than there are folds; the message names the first such class. With
    `keep_rare`, two samples are enough: then some folds validate on none of this class, and all train on it.
    """
    _check_counts(source, classes, 2 if keep_rare else n_folds, f"for {n_folds} folds")
    fold_of = np.zeros(len(source), dtype=np.int32)
    for name, members in _sorted_classes(source, classes, seed):
        # Without an offset for each class, the first fold would get the surplus sample of every class.
        offset = int.from_bytes(_hash(seed, os.fsencode(name)), "big") % n_folds
        fold_of[members] = (np.arange(len(members)) * n_folds // len(members) + offset) % n_folds
    return fold_of


def n_needed(fraction: float) -> int:
    """Return the number of samples that a class needs so that `fraction` of them and the rest are at least one each.

    `assign_folds` needs as many samples as there are folds.
    """
    return max(math.ceil(1 / share - 1e-9) for share in (fraction, 1 - fraction))


def sample_per_class(part: Part, n: int, *, seed: int, classes: Sequence[str], key: str) -> Part:
    """Return a part of `n` random images of each class. The draw follows from `seed`.

    Raises WrongValue if a class has fewer images. The message names the class and `key`, the hyperparameter whose value
    is `n`.
    """
    try:
        _check_counts(part, classes, n, f"for `{key}` = {n}")
    except TooFewSamples as error:  # here it is the value of a hyperparameter that is wrong, and not the data set
        raise WrongValue(str(error)) from None
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(part), generator=generator)
    labels = part.labels.cpu()[order]
    chosen = torch.cat([order[labels == label][:n] for label in range(len(classes))])
    return part.take(sorted(chosen.tolist()))


def _sorted_classes(source: Source, classes: Sequence[str], seed: int) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the name of each class, and the indices of its samples, sorted by their hashes."""
    hashes = np.array([int.from_bytes(_hash(seed, key), "big") for key in _keys(source)], dtype=np.uint64)
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


def _hash(seed: int, key: bytes) -> bytes:
    return blake2b(b"%d\0" % seed + key, digest_size=HASH_BYTES).digest()


def rare(source: Source, classes: Sequence[str], needed: int) -> dict[str, int]:
    """Return the names of the classes with fewer than `needed` samples, each with its number of samples."""
    counts = torch.bincount(source.labels, minlength=len(classes)).tolist()
    return {name: count for name, count in zip(classes, counts, strict=True) if count < needed}


def describe_rare(found: Mapping[str, int], rule: str, needed: int, part: str = "") -> str:
    """Return which classes are rare, and what was done with them, in words. `part` says which images are counted."""
    names = ", ".join(f"{name!r} ({_n_images(count)})" for name, count in found.items())
    done = "keeps at least one image in each part" if rule == "keep" else "is left out"
    return f"a class with fewer than {needed} images{part} {done}: {names}"


def _n_images(n: int) -> str:
    return f"{n} image{'s' * (n != 1)}"


def _indices(chosen: NDArray[np.bool_]) -> list[int]:
    return [int(index) for index in chosen.nonzero()[0]]


def _check_counts(source: Source, classes: Sequence[str], needed: int, purpose: str) -> None:
    """Raise TooFewSamples if a class has fewer than `needed` samples. `purpose` is a part of the message."""
    found = rare(source, classes, needed)
    for name, count in found.items():
        message = f"class {name!r} has {count} of {len(source)} samples: {purpose}, each class needs at least {needed}"
        raise TooFewSamples(message, found, needed, len(classes))

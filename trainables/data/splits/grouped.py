"""Splits of labelled samples that keep each group on one side, stratified as far as the groups allow.

A group is a set of samples that belong together, such as the images of one patient. It may have samples of several
classes.

A split depends on the seed, on the names of the groups, and on how many samples of each class a group has. The order of
the samples and the names of files do not matter. For a fraction, the groups are gone through in the order of the hashes
of their names, so most groups stay where they are if a few samples or groups are added. Folds are those of
`StratifiedGroupKFold` of scikit-learn: any change of the counts may move any group.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainables.data.splits.hashing import seeded_hash

Assignment = NDArray[np.int32]
"""(n,): for each sample the fold that validates on it, or for a split 0 if it is in the first part and 1 if not."""


class CannotSplit(ValueError):
    """The groups of a class cannot be put on both sides."""

    def __init__(self, label: int) -> None:
        """`label` is that of the class."""
        super().__init__(f"the groups of class {label} cannot be split")
        self.label = label


class _Groups(NamedTuple):
    """The groups of some samples."""

    names: list[str]
    """In the order of the hashes of the seed and the name."""
    group_of: NDArray[np.int64]
    """(n,): for each sample the index of its group in `names`."""
    n_samples: NDArray[np.int64]
    """(n_groups, n_classes): the number of samples of each class."""


def n_groups_of_classes(labels: NDArray[np.int64], groups: Sequence[str], n_classes: int) -> list[int]:
    """Return for each class the number of groups that have samples of it."""
    found = {(label, group) for label, group in zip(labels.tolist(), groups, strict=True)}
    counts: list[int] = np.bincount([label for label, _ in found], minlength=n_classes).tolist()
    return counts


def assign_fraction(
    labels: NDArray[np.int64], groups: Sequence[str], *, n_classes: int, fraction: float, seed: int
) -> Assignment:
    """Assign each sample to the first part, 0, or to the second part, 1. Return int32 (n,).

    The second part gets about `fraction` of the samples of each class, and both parts get samples of each class. A
    group joins the second part if this brings the shares of the classes nearer to `fraction`.

    Raises CannotSplit if the groups of a class cannot be on both sides.
    """
    found = _grouped(labels, groups, n_classes, seed)
    totals = found.n_samples.sum(0)
    shares = found.n_samples / np.maximum(totals, 1)

    def error(second: NDArray[np.float64]) -> float:
        return float(np.square(second - fraction).sum())

    chosen, second = np.zeros(len(shares), dtype=bool), np.zeros(n_classes)
    for i, share in enumerate(shares):
        if error(second + share) < error(second):
            chosen[i], second = True, second + share
    for side in (True, False):
        for label in np.flatnonzero(totals).tolist():
            if not found.n_samples[chosen == side, label].any():
                errors = [error(second + share if side else second - share) for share in shares]
                chosen[_group_to_move(found.n_samples, chosen == side, label, errors)] = side
                second = shares[chosen].sum(0)
    return chosen[found.group_of].astype(np.int32)


def _group_to_move(counts: NDArray[np.int64], on_side: NDArray[np.bool_], label: int, errors: Sequence[float]) -> int:
    """The group to move to the side of `on_side`, so that this side has samples of the class `label`.

    Of the groups that take no class away from the other side altogether, it is the one with the least error.
    Raises CannotSplit if there is none.
    """
    other = counts[~on_side].sum(0)
    candidates = [
        i
        for i in np.flatnonzero(~on_side & (counts[:, label] > 0)).tolist()
        if ((other > counts[i]) | (other == 0)).all()
    ]
    if not candidates:
        raise CannotSplit(label)
    return min(candidates, key=lambda i: errors[i])


def assign_folds(
    labels: NDArray[np.int64], groups: Sequence[str], *, n_classes: int, n_folds: int, seed: int
) -> Assignment:
    """Assign each sample to a fold, numbered from 0. Return int32 (n,).

    The groups are put into folds by `StratifiedGroupKFold` of scikit-learn. Some folds may have no sample of a class
    that has few groups.

    Raises CannotSplit if all groups of a class are in one fold.
    """
    import warnings

    from sklearn.model_selection import StratifiedGroupKFold

    found = _grouped(labels, groups, n_classes, seed)
    # The same order of the samples, however they are listed, so that the folds are the same.
    order = np.lexsort((found.group_of, labels))
    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seeded_hash(seed, b"folds") % 2**32)
    fold_of = np.zeros(len(labels), dtype=np.int32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer samples than folds, which is allowed here
        for number, (_, members) in enumerate(folds.split(order, labels[order], found.group_of[order])):
            fold_of[order[members]] = number
    for label in range(n_classes):
        if len(np.unique(fold_of[labels == label])) == 1:
            raise CannotSplit(label)
    return fold_of


def _grouped(labels: NDArray[np.int64], groups: Sequence[str], n_classes: int, seed: int) -> _Groups:
    names = sorted(set(groups), key=lambda name: (seeded_hash(seed, name.encode("utf-8", "surrogatepass")), name))
    place = {name: i for i, name in enumerate(names)}
    index = np.array([place[group] for group in groups], dtype=np.int64)
    counts = np.zeros((len(names), n_classes), dtype=np.int64)
    np.add.at(counts, (index, labels), 1)
    return _Groups(names, index, counts)

"""Merged classes: several classes of a data set become one new class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from trainables.data.dataset import Source
from trainables.errors import SetupError

MergedClasses = Mapping[str, Sequence[str]]
"""The new classes, each with the names of the original classes that it merges."""
N_NAMED = 5
"""The largest number of classes that a message names."""


def without_unmerged(source: Source, classes: tuple[str, ...], merged: MergedClasses | None) -> Source:
    """Return the images whose class is in a merged class, with their labels as they were. If `merged` is empty, all."""
    return source.take(kept(source, new_labels(classes, merged))) if merged else source


def describe_unmerged(
    sources: Iterable[Source | None], classes: tuple[str, ...], merged: MergedClasses | None
) -> str | None:
    """Return how many images are left out because their class is in no merged class, in words. None without any."""
    new = new_labels(classes, merged)
    if new is None:
        return None
    counts = torch.zeros(len(classes), dtype=torch.int64)
    for source in sources:
        if source is not None:
            counts += source.labels.bincount(minlength=len(classes))
    lost = {name: n for name, n, label in zip(classes, counts.tolist(), new.tolist(), strict=True) if label < 0 and n}
    if not lost:
        return None
    names = list(lost)[:N_NAMED]
    more = f", and {len(lost) - N_NAMED} more classes" if len(lost) > N_NAMED else ""
    n_images = sum(lost.values())
    return f"in no merged class: {n_images} image{'s' * (n_images != 1)} ({', '.join(names)}{more})"


def relabel(source: Source, new: Tensor | None) -> Source:
    """Return the images whose class has a new label, with their new labels: see `new_labels`. With None, all images."""
    if new is None:
        return source
    chosen = kept(source, new)
    return source.take(chosen).relabelled(new[source.labels[chosen]])


def kept(source: Source, new: Tensor | None) -> list[int]:
    """Return the indices of the images whose class has a new label: see `new_labels`. With None, these are all."""
    if new is None:
        return list(range(len(source)))
    chosen: list[int] = (new[source.labels] >= 0).nonzero().squeeze(1).tolist()
    return chosen


def new_labels(classes: tuple[str, ...], merged: MergedClasses | None) -> Tensor | None:
    """Return the new label of each original label, int64 (n_classes,), or -1 if its class is in no merged class.

    Returns None if `merged` is empty. Raises SetupError if a class is unknown or in two merged classes.
    """
    if not merged:
        return None
    index = {name: i for i, name in enumerate(classes)}
    new = torch.full((len(classes),), -1, dtype=torch.int64)
    for label, (new_class, names) in enumerate(merged.items()):
        for name in names:
            if name not in index:
                raise SetupError(
                    f"`merged_classes.{new_class}`: there is no class {name!r} (allowed: {', '.join(classes)})"
                )
            if new[index[name]] >= 0:
                raise SetupError(f"`merged_classes.{new_class}`: class {name!r} is in two merged classes")
            new[index[name]] = label
    return new

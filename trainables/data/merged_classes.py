"""Merged classes: several classes of a data set become one new class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trainables.data.dataset import Source
from trainables.errors import SetupError

MergedClasses = Mapping[str, Sequence[str]]
"""The new classes, each with the names of the original classes that it merges."""


def without_unmerged(source: Source, classes: tuple[str, ...], merged: MergedClasses | None) -> Source:
    """Return the images whose class is in a merged class, with their labels as they were. If `merged` is empty, all."""
    return source.take(kept(source, new_labels(classes, merged))) if merged else source


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

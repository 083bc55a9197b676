"""Rare classes: those with too few samples for a split, or with too few groups if the samples have groups."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from trainables.data.dataset import Files, Source
from trainables.data.splits import grouped

RARE_CLASSES = ("error", "keep", "leave_out")
"""What to do with a class that has too few samples for a stratified split: raise an error, put at least one sample into
each part nevertheless, or leave the class out."""


class TooFewSamples(ValueError):
    """Some classes have too few samples or groups to be split. The message names the first of them."""

    def __init__(self, message: str, counts: Mapping[str, int], needed: int, n_classes: int, unit: str) -> None:
        """`counts` holds the number of units of each rare class, `needed` is how many it needs. See `unit_of`."""
        super().__init__(message)
        self.counts = counts
        self.needed = needed
        self.n_classes = n_classes
        self.unit = unit
        self.folder: str | None = None
        """The name of the folder that is the only group of the first class. None if there is no such folder."""
        self.only_group: str | None = None
        """The group of all samples, of all classes. None if there are several groups, or none."""

    def first(self) -> str:
        """Return the first rare class and its number of images or groups, in words."""
        name, count = next(iter(self.counts.items()))
        return f"class {name!r} has {_count(count, self.unit)}"

    def remedy(self, *, can_keep: bool) -> str:
        """Return which values of `dataset.rare_classes` help, in words. `can_keep` is whether `keep` does."""
        values = [*(["keep"] if can_keep else []), *(["leave_out"] if self.n_classes - len(self.counts) >= 2 else [])]
        add = f"add {self.unit}s"
        if self.folder is not None:
            add += f": all its images lie directly in the folder {self.folder!r}, which is one group"
        elif self.only_group is not None:
            add += f": all images of all classes are one group, {self.only_group!r}, so check what `group` finds"
        return f"; set `dataset.rare_classes` to {' or '.join(values)}, or {add}" if values else f"; {add}"


def unit_of(source: Source) -> str:
    """Return what the samples are counted by in a split: "group" if they have groups, else "image"."""
    return "group" if isinstance(source, Files) and source.groups else "image"


def n_needed(fraction: float, source: Source) -> int:
    """Return the number of samples that a class needs so that `fraction` of them and the rest are at least one each.

    If `source` has groups, return the number of groups that a class needs: 2.

    `assign_folds` needs as many samples or groups as there are folds.
    """
    if unit_of(source) == "group":
        return 2
    return max(math.ceil(1 / share - 1e-9) for share in (fraction, 1 - fraction))


def rare(source: Source, classes: Sequence[str], needed: int) -> dict[str, int]:
    """Return the names of the classes with fewer than `needed` samples, each with its number of samples.

    If `source` has groups, the groups of each class are counted instead.
    """
    if isinstance(source, Files) and source.groups:
        counts = grouped.n_groups_of_classes(source.labels.numpy(), source.groups, len(classes))
    else:
        counts = torch.bincount(source.labels, minlength=len(classes)).tolist()
    return {name: count for name, count in zip(classes, counts, strict=True) if count < needed}


def describe_rare(found: Mapping[str, int], rule: str, needed: int, part: str = "", unit: str = "image") -> str:
    """Return which classes are rare, and what was done with them, in words.

    `part` says which images are counted, `unit` what is counted: see `unit_of`.
    """
    names = ", ".join(f"{name!r} ({_count(count, unit)})" for name, count in found.items())
    done = f"keeps at least one {unit} in each part" if rule == "keep" else "is left out"
    return f"a class with fewer than {needed} {unit}s{part} {done}: {names}"


def _count(n: int, unit: str) -> str:
    return f"{n} {unit}{'s' * (n != 1)}"


def check_counts(source: Source, classes: Sequence[str], needed: int, purpose: str) -> None:
    """Raise TooFewSamples if a class has fewer than `needed` samples. `purpose` is a part of the message."""
    found, unit = rare(source, classes, needed), unit_of(source)
    for name, count in found.items():
        has = f"{count} of {len(source)} samples" if unit == "image" else _count(count, unit)
        message = f"class {name!r} has {has}: {purpose}, each class needs at least {needed}"
        error = TooFewSamples(message, found, needed, len(classes), unit)
        error.folder = _only_folder(source, list(classes).index(name))
        if isinstance(source, Files) and len(set(source.groups)) == 1:
            error.only_group = source.groups[0]
        raise error


def _only_folder(source: Source, label: int) -> str | None:
    """The name of the folder that all files of a class lie in, if it is the name of their group too."""
    if not isinstance(source, Files) or not source.groups:
        return None
    rows = (source.labels == label).nonzero().flatten().tolist()
    names = {name for i in rows for name in (source.groups[i], source.paths[i].absolute().parent.name)}
    return names.pop() if len(names) == 1 else None

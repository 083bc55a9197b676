"""The types of data: Part and Files hold labelled images, DataSet has two of them, SearchData is what a regime gets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from trainables.data.fingerprint import fingerprint
from trainables.own_metric import OwnMetric


class Part:
    """Images with their labels, in memory or memory-mapped from the store.

    A part may be a selection of a larger tensor, its pool. Then only the indices of its rows are held, so that several
    parts share one pool without copies.

    Read the images by `batch`, because `images` loads all of them into memory.
    """

    has_views = False
    """Whether `of_pool` returns several augmented views of each image instead of the images (`AugmentedViews`)."""

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        rows: Tensor | None = None,
        key: str = "",
        groups: Tensor | None = None,
    ) -> None:
        """Select the rows `rows` of the pool `images`.

        `images` is (m, channels, height, width), either uint8 in 0..255 or float32 in 0..1. `rows` is int64 (n,), or
        None for all m images in order. `labels` is int64 (n,), the index of the class of each selected image.

        `key` is a unique identifier of the m images, used in the keys of caches. If it is empty, a hash of the images
        is used. `groups` is int64 (n,) on the CPU: equal numbers stand for images of one group, such as one patient. It
        changes no split, because images that are in memory are not split by groups.

        Raises ValueError if the types, shapes or devices do not fit each other.
        """
        if images.ndim != 4 or images.dtype not in (torch.float32, torch.uint8):
            expected = "float32 or uint8 (n, channels, height, width)"
            raise ValueError(f"`images` must be {expected}, but are {_describe(images)}")
        _check_labels(labels, len(images if rows is None else rows))
        if images.device != labels.device:
            raise ValueError(f"`images` lie on {images.device}, but `labels` on {labels.device}")
        self.pool = images
        """(m, channels, height, width): the images that this part is a selection of."""
        self.labels = labels
        """int64 (n,): the index of the class of each image."""
        self.groups = groups
        """int64 (n,): the number of the group of each image. None without groups."""
        self.rows = rows
        """int64 (n,): the rows of `pool` that this part consists of. None if these are all rows, in order."""
        self._key = key

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        channels, height, width = self.pool.shape[1:]
        return channels, height, width

    @cached_property
    def images(self) -> Tensor:
        """(n, channels, height, width): the images of this part, all loaded into memory."""
        return self.pool if self.rows is None else self.pool[self.rows]

    @cached_property
    def key(self) -> str:
        """A unique identifier of the images of `pool`."""
        return self._key or fingerprint(self.pool)

    @property
    def n_pool(self) -> int:
        """The number of images that `of_pool` can return: m."""
        return len(self.pool)

    def of_pool(self, index: slice) -> Tensor:
        """Return the images of the pool at `index`."""
        return self.pool[index]

    def batch(self, index: Tensor | slice) -> Tensor:
        """Return the images of this part at `index`, as (k, channels, height, width)."""
        return self.pool[index] if self.rows is None else self.pool[self.rows[index]]

    def to(self, device: str | torch.device) -> Part:
        """Return this part on a device. Returns the same object if it is there already."""
        device = torch.empty(0, device=device).device  # cuda becomes cuda:0
        if self.pool.device == device:
            return self
        key = self.key if self.rows is None else f"{self.key}/{fingerprint(self.rows)}"
        return Part(self.images.to(device), self.labels.to(device), key=key, groups=self.groups)

    def take(self, indices: Sequence[int]) -> Part:
        """Return a part of the images at `indices`, in that order.

        If this part is a selection of a pool, the result shares the pool. Otherwise the images are copied.
        """
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        groups = None if self.groups is None else self.groups[chosen]
        if self.rows is None:
            return Part(self.pool[chosen], self.labels[chosen], groups=groups)
        return Part(self.pool, self.labels[chosen], rows=self.rows[chosen], key=self._key, groups=groups)

    def relabelled(self, labels: Tensor) -> Part:
        """Return a part of the same images with the labels `labels`, int64 (n,)."""
        return Part(self.pool, labels, rows=self.rows, key=self._key, groups=self.groups)

    def as_whole(self) -> Part:
        """Return this part unchanged. See `Files.as_whole`."""
        return self


@dataclass(frozen=True, eq=False)
class Files:
    """Image files with their labels, not yet read. `trainables/data/images.py` loads them as a Part."""

    paths: tuple[Path, ...]
    labels: Tensor
    """int64 (n,): the index of the class of each image."""
    whole: tuple[Path, ...] = ()
    """A larger list of files that contains `paths`, or empty.

    Loading reads these files together and stores them as one entry, which all selections of them share.
    """
    folder: Path | None = None
    """The folder of the data set, which the names of its files are relative to.

    None stands for the deepest folder that contains all of `paths`.
    """
    groups: tuple[str, ...] = ()
    """The group of each file, such as its patient. A split never divides a group. Empty without groups."""

    def __post_init__(self) -> None:
        _check_labels(self.labels, len(self.paths))
        if self.groups and len(self.groups) != len(self.paths):
            raise ValueError(f"{len(self.paths)} files need a group each, but there are {len(self.groups)} groups")
        if self.folder is None:
            object.__setattr__(
                self, "folder", Path(os.path.commonpath({path.absolute().parent for path in self.paths}))
            )

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The path of each file relative to `folder`, with slashes: "daisy/1.jpg"."""
        assert self.folder is not None, "set when the files were made"
        return tuple(_relative(str(path.absolute()), str(self.folder.absolute())) for path in self.paths)

    def take(self, indices: Sequence[int]) -> Files:
        """Return the files at `indices`, in that order."""
        chosen = tuple(self.paths[i] for i in indices)
        groups = tuple(self.groups[i] for i in indices) if self.groups else ()
        labels = self.labels[torch.as_tensor(indices, dtype=torch.int64)]
        return replace(self, paths=chosen, labels=labels, groups=groups)

    def relabelled(self, labels: Tensor) -> Files:
        """Return the same files with the labels `labels`, int64 (n,)."""
        return replace(self, labels=labels)

    def as_whole(self) -> Files:
        """Return the same files with `whole` set, so that later selections of them are still read together."""
        return replace(self, whole=self.paths)


@dataclass(frozen=True)
class LeftOut:
    """A file or folder of a data set that is no image of it, and the reason."""

    path: Path
    kind: str
    """The reason, as a phrase about several of them, such as "broken links"."""
    may_matter: bool = True
    """Whether it may have been meant to be an image. False for notes, and for files of the operating system."""


Source = Part | Files
"""The images of a data set: in memory, all of one size, or as files of any sizes."""


class DataSet(Protocol):
    """A data set with a training part and a held-out part.

    The `build` function of a file in `trainables/datasets` returns one. The split into the two parts is fixed and does
    not depend on the seed of a search. So test results of different studies can be compared.

    Some attributes are optional:

    - `validation()` returns the validation part as a Source, if the data set has one of its own. Then the training part
      is not split. It may return None.
    - `rare_classes` says what the split into training and validation does with a class of too few images, as in
      `trainables.data.splits.RARE_CLASSES`. Without it, such a class is an error.
    - `notes` are lines for the user about the data set.
    - `left_out` is a sequence of `LeftOut`: the files beside its images.
    """

    @property
    def name(self) -> str:
        """The name of the data set, for error messages."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their labels: label 0 stands for the first."""
        ...

    def training(self) -> Source:
        """Return the training part. A search splits it, unless there is a `validation()`. It sees nothing else."""
        ...

    def held_out(self) -> Source | None:
        """Return the held-out part, which no search sees, or None without one.

        Only `trainables/data/heldout.py` calls this.
        """
        ...


@dataclass(frozen=True, eq=False)
class Pretraining:
    """The pretraining data, for a regime that trains on it first."""

    train: Part
    classes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class SearchData:
    """What a regime gets of a data set: the training and the validation part, and never the held-out one.

    Raises ValueError if the two parts have images of different shapes, or if a label has no class.
    """

    train: Part
    validation: Part
    classes: tuple[str, ...]
    """The names of the classes, in the order of their labels."""
    pretraining: Pretraining | None = None
    """The pretraining data of the task, or None if it has none."""
    own_metric: OwnMetric | None = None
    """A metric of the user, which each validation also reports. None if there is none."""

    def __post_init__(self) -> None:
        if self.train.shape != self.validation.shape:
            raise ValueError(f"images train as {self.train.shape}, but validate as {self.validation.shape}")
        for part in (self.train, self.validation):
            low, high = int(part.labels.min()), int(part.labels.max())
            if low < 0 or high >= len(self.classes):
                raise ValueError(f"labels must lie in 0..{len(self.classes) - 1}, but reach from {low} to {high}")

    def to(self, device: str | torch.device) -> SearchData:
        """Return the data with the training and validation parts on a device. `pretraining` is not moved.

        Returns the same object if both parts are there already.
        """
        train, validation = self.train.to(device), self.validation.to(device)
        unmoved = train is self.train and validation is self.validation
        return self if unmoved else replace(self, train=train, validation=validation)


def _relative(path: str, folder: str) -> str:
    """The part of an absolute path below a folder, with slashes. It begins with ".." if the path lies elsewhere."""
    inside = folder.rstrip(os.sep) + os.sep
    relative = path[len(inside) :] if path.startswith(inside) else os.path.relpath(path, folder)
    return relative.replace(os.sep, "/")


def _check_labels(labels: Tensor, n_images: int) -> None:
    if labels.ndim != 1 or labels.dtype != torch.int64:
        raise ValueError(f"`labels` must be int64 (n,), but are {_describe(labels)}")
    if not n_images == len(labels) > 0:
        raise ValueError(f"a part needs a label for each image, but has {n_images} and {len(labels)} labels")


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"

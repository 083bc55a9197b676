"""Data in parts: Part, Files, DataSet, SearchData."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor


class Part:
    """Some images with their labels: in memory, or some rows of what lies in a store on disk.

    Go through the images by `batch`: `images` brings all of them into memory.
    """

    varied = False
    """Whether `of_pool` gives images in several views, and not as they are."""

    def __init__(self, images: Tensor, labels: Tensor, *, rows: Tensor | None = None, key: str = "") -> None:
        """Of `images` (m, channels, height, width) those at `rows`, int64 (n,), or all in order, where m is n.

        Images are uint8, where 255 is full brightness, or float32, where 1 is. `labels`, int64 (n,), are the
        indices of their classes. `key` identifies the m images among all there are; without one, their
        content does. A ValueError where these do not fit each other.
        """
        if images.ndim != 4 or images.dtype not in (torch.float32, torch.uint8):
            expected = "float32 or uint8 (n, channels, height, width)"
            raise ValueError(f"`images` must be {expected}, but are {_described(images)}")
        _check_labels(labels, len(images if rows is None else rows))
        if images.device != labels.device:
            raise ValueError(f"`images` lie on {images.device}, but `labels` on {labels.device}")
        self.pool = images
        """(m, channels, height, width): the images of which these are some, or all."""
        self.labels = labels
        self.rows = rows
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
        """(n, channels, height, width): all images, in memory."""
        return self.pool if self.rows is None else self.pool[self.rows]

    @cached_property
    def key(self) -> str:
        """What identifies the images of `pool` among all there are."""
        return self._key or fingerprint(self.pool)

    @property
    def n_pool(self) -> int:
        """How many images `of_pool` goes through: m."""
        return len(self.pool)

    def of_pool(self, index: slice) -> Tensor:
        """The images at `index` of the m of which these are some."""
        return self.pool[index]

    def batch(self, index: Tensor | slice) -> Tensor:
        """The images at `index`, (k, channels, height, width)."""
        return self.pool[index] if self.rows is None else self.pool[self.rows[index]]

    def to(self, device: str | torch.device) -> Part:
        """The same part on a device; this very one where it lies there already."""
        device = torch.empty(0, device=device).device  # cuda becomes cuda:0
        if self.pool.device == device:
            return self
        key = self.key if self.rows is None else f"{self.key}/{fingerprint(self.rows)}"
        return Part(self.images.to(device), self.labels.to(device), key=key)

    def take(self, indices: Sequence[int]) -> Part:
        """The images at `indices`, in that order; a copy of them, but for those in a store."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        if self.rows is None:
            return Part(self.pool[chosen], self.labels[chosen])
        return Part(self.pool, self.labels[chosen], rows=self.rows[chosen], key=self._key)

    def relabelled(self, labels: Tensor) -> Part:
        """The same images with other labels, (n,)."""
        return Part(self.pool, labels, rows=self.rows, key=self._key)

    def as_whole(self) -> Part:
        """This part, which is in memory already."""
        return self


@dataclass(frozen=True, eq=False)
class Files:
    """Some image files with their labels, not yet read; `trainables/data/images.py` makes a Part of them."""

    paths: tuple[Path, ...]
    labels: Tensor
    """int64, (n,): the index of each image's class."""
    whole: tuple[Path, ...] = ()
    """The files of which these are some, and which may be read with them, once for all parts; none where empty."""

    def __post_init__(self) -> None:
        _check_labels(self.labels, len(self.paths))

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Sequence[int]) -> Files:
        """The files at `indices`, in that order."""
        chosen = tuple(self.paths[i] for i in indices)
        return Files(chosen, self.labels[torch.as_tensor(indices, dtype=torch.int64)], self.whole)

    def relabelled(self, labels: Tensor) -> Files:
        """The same files with other labels, (n,)."""
        return Files(self.paths, labels, self.whole)

    def as_whole(self) -> Files:
        """The same files, to be read together whichever of them are taken."""
        return Files(self.paths, self.labels, self.paths)


Source = Part | Files
"""Images as a data set gives them: in memory, or as files of any size."""


class DataSet(Protocol):
    """A data set whose training and held-out parts are cut for good: no seed of a search changes them."""

    @property
    def name(self) -> str: ...

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their labels."""
        ...

    def training(self) -> Source:
        """What a search may see: training and validation are cut out of it."""
        ...

    def held_out(self) -> Source:
        """What no search sees. `trainables/data/heldout.py` alone calls this."""
        ...


@dataclass(frozen=True, eq=False)
class Pretraining:
    """Another data set, for a regime that trains on it first."""

    train: Part
    classes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class SearchData:
    """All that a regime learns of a data set; a ValueError where the parts do not fit each other."""

    train: Part
    validation: Part
    classes: tuple[str, ...]
    pretraining: Pretraining | None = None

    def __post_init__(self) -> None:
        if self.train.shape != self.validation.shape:
            raise ValueError(f"images train as {self.train.shape}, but validate as {self.validation.shape}")
        for part in (self.train, self.validation):
            low, high = int(part.labels.min()), int(part.labels.max())
            if low < 0 or high >= len(self.classes):
                raise ValueError(f"labels must lie in 0..{len(self.classes) - 1}, but reach from {low} to {high}")

    def to(self, device: str | torch.device) -> SearchData:
        """The same data on a device, but for the pretraining set; these very ones where they lie there already."""
        train, validation = self.train.to(device), self.validation.to(device)
        unmoved = train is self.train and validation is self.validation
        return self if unmoved else replace(self, train=train, validation=validation)


def fingerprint(tensor: Tensor) -> str:
    """What identifies a tensor by its content, as a hash."""
    digest = hashlib.blake2b(f"{tensor.dtype} {tuple(tensor.shape)}".encode(), digest_size=16)
    content: Any = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    digest.update(content)
    return digest.hexdigest()


def _check_labels(labels: Tensor, n_images: int) -> None:
    if labels.ndim != 1 or labels.dtype != torch.int64:
        raise ValueError(f"`labels` must be int64 (n,), but are {_described(labels)}")
    if not n_images == len(labels) > 0:
        raise ValueError(f"a part needs a label for each image, but has {n_images} and {len(labels)} labels")


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"

"""Data in parts (ground floor of training): Part, DataSet, SearchData, and the cut that makes validation.

The cut is stratified and takes validation out of the training part; it never asks for the held-out part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from sklearn.model_selection import train_test_split
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Part:
    """Some images with their labels, in memory; a ValueError where they do not fit each other."""

    images: Tensor
    """float32, (n, channels, height, width)."""
    labels: Tensor
    """int64, (n,): the index of each image's class."""

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.ndim != 4 or images.dtype != torch.float32:
            raise ValueError(f"`images` must be float32 (n, channels, height, width), but are {_described(images)}")
        if labels.ndim != 1 or labels.dtype != torch.int64:
            raise ValueError(f"`labels` must be int64 (n,), but are {_described(labels)}")
        if not len(images) == len(labels) > 0:
            raise ValueError(f"a part needs a label for each image, but has {len(images)} and {len(labels)} labels")
        if images.device != labels.device:
            raise ValueError(f"`images` lie on {images.device}, but `labels` on {labels.device}")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def to(self, device: str | torch.device) -> Part:
        """The same part on a device; no copy where it lies there already."""
        return Part(self.images.to(device), self.labels.to(device))

    def take(self, indices: Sequence[int]) -> Part:
        """A copy of the images at `indices`, in that order."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        return Part(self.images[chosen], self.labels[chosen])


class DataSet(Protocol):
    """A data set whose training and held-out parts are cut for good: no option changes them."""

    @property
    def name(self) -> str: ...

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their labels."""
        ...

    def training(self) -> Part:
        """What a search may see: training and validation are cut out of it."""
        ...

    def held_out(self) -> Part:
        """What no search sees. `trainables/heldout.py` alone calls this."""
        ...


@dataclass(frozen=True, eq=False)
class SearchData:
    """All that a regime learns of a data set; a ValueError where the parts do not fit each other."""

    train: Part
    validation: Part
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.train.shape != self.validation.shape:
            raise ValueError(f"images train as {self.train.shape}, but validate as {self.validation.shape}")
        for part in (self.train, self.validation):
            low, high = int(part.labels.min()), int(part.labels.max())
            if low < 0 or high >= len(self.classes):
                raise ValueError(f"labels must lie in 0..{len(self.classes) - 1}, but reach from {low} to {high}")


def split(dataset: DataSet, *, fraction: float, seed: int) -> SearchData:
    """Cut a stratified `fraction` (above 0, below 1, rounded up to a sample) of the training part off as validation.

    The same data set, fraction and seed give the same cut. Each class keeps at least one sample on
    either side; a ValueError names the first that has too few for that.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"`fraction` must lie between 0 and 1, but is {fraction!r}")
    part = dataset.training()
    n_validation = math.ceil(fraction * len(part))
    kept, cut_off = cut(part.labels, n_cut=n_validation, seed=seed, classes=dataset.classes)
    return SearchData(part.take(kept), part.take(cut_off), dataset.classes)


def cut(labels: Tensor, *, n_cut: int, seed: int, classes: Sequence[str]) -> tuple[list[int], list[int]]:
    """Cut `n_cut` of the samples off, stratified by `labels`; the indices kept and cut off, both rising.

    A class of c among n samples gets floor(c * n_cut / n) of the places or one more, so it is sure of
    a sample on either side where that floor is at least 1 on both; else a ValueError names it.
    """
    n = len(labels)
    if not 0 < n_cut < n:
        raise ValueError(f"{n_cut} of {n} samples cannot be cut off: both sides need at least one")
    needed = max(-(-n // n_cut), -(-n // (n - n_cut)))
    for name, count in zip(classes, torch.bincount(labels, minlength=len(classes)).tolist(), strict=True):
        if count < needed:
            raise ValueError(
                f"class {name!r} has {count} of {n} samples: to cut {n_cut} off, stratified, "
                f"each class needs at least {needed}; a cut nearer to one half needs fewer"
            )
    kept, cut_off = train_test_split(range(n), test_size=n_cut, stratify=labels.cpu().numpy(), random_state=seed)
    return sorted(kept), sorted(cut_off)


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"

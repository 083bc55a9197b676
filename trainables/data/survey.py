"""A summary through a data set: how many images, how large, how bright, and what is broken.

Two images are the same where their pixels are, whatever their files. A survey describes the training part; of
the held-out part it tells what cannot be read, and what can also be trained on.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainables.data import images
from trainables.data.dataset import Files, Source
from trainables.data.image_summaries import ImageSummary, summarize

WIDTH = 80
"""Characters of a line, but for paths, which are never cut."""
LONGEST = 40
"""Characters of the name of a class."""
N_SHOWN = 10
"""Faults of a kind that are printed; the survey itself has them all."""


@dataclass(frozen=True)
class Class:
    """A class, and how many images it has; files that cannot be read are among them."""

    name: str
    n_training: int
    n_held_out: int


@dataclass(frozen=True)
class Extent:
    """A side of the images of the training part, in pixels."""

    least: int
    median: float
    most: int


@dataclass(frozen=True)
class Unreadable:
    """A file that is no image."""

    path: str
    reason: str


@dataclass(frozen=True)
class Twins:
    """Two images that are the same: each by its path, or by its part and its number there, from 0."""

    one: str
    other: str


@dataclass(frozen=True)
class Survey:
    """What a data set holds, and what is broken in it."""

    classes: tuple[Class, ...]
    """In the order of their labels."""
    width: Extent | None
    """None where no image of the training part can be read."""
    height: Extent | None
    n_grey: int
    """Images of the training part that have one channel, or all channels alike."""
    mean: tuple[float, ...]
    """A channel, of images as 0..1, over all pixels of the training part; a file has red, green and blue."""
    std: tuple[float, ...]
    unreadable: tuple[Unreadable, ...]
    """Files of either part."""
    empty: tuple[str, ...]
    """Classes without an image in one of the parts."""
    in_both: tuple[Twins, ...]
    """A training image and the same held-out one."""
    in_two_classes: tuple[Twins, ...]
    """Two images of one part that are the same, but labelled differently."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is broken."""
        return not (self.unreadable or self.empty or self.in_both or self.in_two_classes)


def survey(training: Source, held_out: Source, classes: Sequence[str]) -> Survey:
    """ImageSummary through both parts of a data set whose labels stand for `classes`; each file is read once."""
    seen, unseen = _Walk(training, "training"), _Walk(held_out, "held-out")
    counts = [source.labels.bincount(minlength=len(classes)).tolist() for source in (training, held_out)]
    mean, std = seen.statistics()
    return Survey(
        classes=tuple(map(Class, classes, *counts)),
        width=_extent([width for width, _ in seen.sizes]),
        height=_extent([height for _, height in seen.sizes]),
        n_grey=seen.n_grey,
        mean=mean,
        std=std,
        unreadable=(*seen.unreadable, *unseen.unreadable),
        empty=tuple(name for name, *n in zip(classes, *counts, strict=True) if not all(n)),
        in_both=tuple(Twins(seen.first[key][0], name) for name, key in unseen.readable if key in seen.first),
        in_two_classes=(*seen.in_two_classes, *unseen.in_two_classes),
    )


def lines(survey: Survey) -> list[str]:
    """The survey in words and a table of the classes, a line each, to be printed."""
    n_training = sum(each.n_training for each in survey.classes)
    n_held_out = sum(each.n_held_out for each in survey.classes)
    found = [f"{len(survey.classes)} classes: {n_training} images to search with, {n_held_out} held out", ""]
    found += [*_table(survey.classes), "", "Of the images to search with:"]
    for side, extent in (("width", survey.width), ("height", survey.height)):
        if extent:
            found.append(f"  {side:8}{extent.least} to {extent.most} pixels, median {extent.median:g}")
    found.append(f"  {'grey':8}{survey.n_grey}")
    for name, values in (("mean", survey.mean), ("std", survey.std)):
        found.append(f"  {name:8}{'  '.join(f'{value:.4f}' for value in values)}")
    found.append("")
    if survey.is_sound:
        return [*found, "All can be read, none is held out as well, and none stands in two classes."]
    if survey.empty:
        found.append(f"Classes that lack images in one of the parts: {', '.join(survey.empty)}")
    found += _faults("unreadable", [f"{each.path}: {each.reason}" for each in survey.unreadable])
    pairs = [f"{each.one} = {each.other}" for each in survey.in_both]
    found += _faults("held out, and also to be trained on", pairs)
    pairs = [f"{each.one} = {each.other}" for each in survey.in_two_classes]
    return found + _faults("the same, but in two classes", pairs)


class _Walk:
    """One part, every image looked at once."""

    def __init__(self, source: Source, part: str) -> None:
        self.sizes: list[tuple[int, int]] = []
        """(width, height) of each image that can be read."""
        self.n_grey = 0
        self.readable: list[tuple[str, bytes]] = []
        """The name and the hash of each."""
        self.first: dict[bytes, tuple[str, int]] = {}
        """The name and the label of the first image of each hash."""
        self.unreadable: list[Unreadable] = []
        self.in_two_classes: list[Twins] = []
        self._source = source
        self._histogram: NDArray[np.int64] = np.zeros((3, 256), dtype=np.int64)
        for i, (summary, label) in enumerate(zip(summarize(source), source.labels.tolist(), strict=True)):
            name = str(source.paths[i]) if isinstance(source, Files) else f"{part} image {i}"
            if isinstance(summary, str):
                self.unreadable.append(Unreadable(name, summary))
            else:
                self._add(name, label, summary)

    def _add(self, name: str, label: int, summary: ImageSummary) -> None:
        self.sizes.append(summary.size)
        self.n_grey += summary.is_grey
        self.readable.append((name, summary.key))
        twin, its_label = self.first.setdefault(summary.key, (name, label))
        if its_label != label:
            self.in_two_classes.append(Twins(twin, name))
        if summary.histogram is not None:
            self._histogram += summary.histogram

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation a channel, of images as 0..1; nothing where none can be read."""
        if not isinstance(self._source, Files):
            return images.statistics(self._source)
        if not self.sizes:
            return (), ()
        brightness, n = np.arange(256) / 255, self._histogram[0].sum()
        mean = self._histogram @ brightness / n
        std = np.sqrt(np.maximum(self._histogram @ brightness**2 / n - mean**2, 0))
        return tuple(mean.tolist()), tuple(std.tolist())


def _extent(sides: list[int]) -> Extent | None:
    return Extent(min(sides), float(statistics.median(sides)), max(sides)) if sides else None


def _table(classes: Sequence[Class]) -> list[str]:
    """The classes in as many columns as fit, each from top to bottom."""
    longest = min(max(len(each.name) for each in classes), LONGEST)
    cells = [f"{each.name[:longest]:{longest}}{each.n_training:8}{each.n_held_out:10}" for each in classes]
    header = f"{'class':{longest}}{'search':>8}{'held out':>10}"
    n_columns = max(1, min((WIDTH + 3) // (len(header) + 3), len(cells)))
    n_rows = -(-len(cells) // n_columns)
    rows = ["   ".join(cells[row::n_rows]) for row in range(n_rows)]
    return ["   ".join([header] * -(-len(cells) // n_rows)), *rows]


def _faults(kind: str, faults: Sequence[str]) -> list[str]:
    """How many faults of a kind there are, and the first of them."""
    if not faults:
        return []
    shown = [f"  {fault}" for fault in faults[:N_SHOWN]]
    left = [f"  and {len(faults) - N_SHOWN} more"] if len(faults) > N_SHOWN else []
    return [f"Images that are {kind}: {len(faults)}", *shown, *left]

"""Descriptive statistics of a data set (counts, image sizes, pixel mean and standard deviation) and its problems.

The statistics are those of the training part. For the held-out part, a report gives only the number of images, the
unreadable files and the duplicates. Two images are duplicates if their sizes and pixels are equal, even if their files
differ.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.data import images
from trainables.data.dataset import Files, LeftOut, Part, Source
from trainables.data.decoding import DEFAULT, DecodingOptions
from trainables.data.image_summaries import ImageSummary, summarize
from trainables.errors import printable

WIDTH = 80
"""The largest number of characters in a line of the table. Lines with paths may be longer, as paths are not cut."""
MAX_NAME_LENGTH = 40
"""The largest number of characters of a class name that are shown."""
N_SHOWN = 10
"""The largest number of problems of one kind that are printed. The report itself has all of them."""


@dataclass(frozen=True)
class ClassCounts:
    """A class with its number of images in each part, including unreadable files."""

    name: str
    n_training: int
    n_held_out: int


@dataclass(frozen=True)
class SizeStatistics:
    """Statistics of the widths or of the heights of the training images, in pixels."""

    minimum: int
    median: float
    maximum: int


@dataclass(frozen=True)
class UnreadableFile:
    """A file that cannot be read as an image, and the reason."""

    path: str
    reason: str


@dataclass(frozen=True)
class DuplicatePair:
    """Two equal images. Each is given by its path, or as "training image 3" if it is not from a file (from 0)."""

    first: str
    second: str


@dataclass(frozen=True)
class DatasetReport:
    """The statistics of a data set, and its problems."""

    classes: tuple[ClassCounts, ...]
    """The classes in the order of their labels."""
    width: SizeStatistics | None
    """None if no training image can be read."""
    height: SizeStatistics | None
    """None if no training image can be read."""
    n_grey: int
    """The number of training images with one channel, or with equal channels."""
    mean: tuple[float, ...]
    """The mean of each channel over all pixels of the training part, scaled to 0..1. Files have red, green and blue."""
    std: tuple[float, ...]
    """The standard deviation of each channel, over the same pixels."""
    unreadable: tuple[UnreadableFile, ...]
    """The unreadable files of both parts."""
    empty: tuple[str, ...]
    """The names of the classes that have no image in one of the parts."""
    in_both_parts: tuple[DuplicatePair, ...]
    """Pairs of a training image and an equal held-out image."""
    in_two_classes: tuple[DuplicatePair, ...]
    """Pairs of equal images in one part that have different labels."""
    left_out: tuple[LeftOut, ...] = ()
    """The files that are in no part, because they are no images."""

    @property
    def is_sound(self) -> bool:
        """Whether the images of the two parts have none of these problems. Files that are left out are in no part."""
        return not (self.unreadable or self.empty or self.in_both_parts or self.in_two_classes)


def report(
    training: Source,
    held_out: Source | None,
    classes: Sequence[str],
    *,
    left_out: Sequence[LeftOut] = (),
    decoding: DecodingOptions = DEFAULT,
) -> DatasetReport:
    """Return the report on the training and the held-out part of a data set. Each file is read once.

    `training` holds all images to search with. `held_out` is None if nothing is held out. `classes` holds the names of
    the classes in the order of their labels. `left_out` are the files that are in no part.
    """
    train, test = _PartReport(training, "training", decoding), _PartReport(held_out, "held-out", decoding)
    counts = [
        [0] * len(classes) if source is None else source.labels.bincount(minlength=len(classes)).tolist()
        for source in (training, held_out)
    ]
    parts = counts if held_out is not None else counts[:1]
    mean, std = train.pixel_statistics()
    return DatasetReport(
        classes=tuple(map(ClassCounts, classes, *counts)),
        width=_size_statistics([width for width, _ in train.sizes]),
        height=_size_statistics([height for _, height in train.sizes]),
        n_grey=train.n_grey,
        mean=mean,
        std=std,
        unreadable=(*train.unreadable, *test.unreadable),
        empty=tuple(name for name, *n_images in zip(classes, *parts, strict=True) if not all(n_images)),
        in_both_parts=tuple(
            DuplicatePair(train.first_by_hash[key][0], name)
            for name, key in test.readable
            if key in train.first_by_hash
        ),
        in_two_classes=(*train.in_two_classes, *test.in_two_classes),
        left_out=tuple(left_out),
    )


def lines(report: DatasetReport) -> list[str]:
    """Return the lines of the report as text, with a table of the classes."""
    n_training = sum(each.n_training for each in report.classes)
    n_held_out = sum(each.n_held_out for each in report.classes)
    text = [f"{len(report.classes)} classes: {n_training} images to search with, {n_held_out} held out", ""]
    text += [*_table(report.classes), "", "Of the images to search with:"]
    for name, sizes in (("width", report.width), ("height", report.height)):
        if sizes:
            text.append(f"  {name:8}{sizes.minimum} to {sizes.maximum} pixels, median {sizes.median:g}")
    text.append(f"  {'grey':8}{report.n_grey}")
    for name, values in (("mean", report.mean), ("std", report.std)):
        text.append(f"  {name:8}{'  '.join(f'{value:.4f}' for value in values)}")
    text += ["", *_left_out_lines(report.left_out)]
    if report.is_sound:
        which = "All others" if report.left_out else "All"
        return [*text, f"{which} can be read, none is held out as well, and none is in two classes."]
    if report.empty:
        text.append(f"Classes that lack images in one of the parts: {', '.join(report.empty)}")
    text += _problems("unreadable", [f"{file.path}: {file.reason}" for file in report.unreadable])
    pairs = [f"{pair.first} = {pair.second}" for pair in report.in_both_parts]
    text += _problems("held out, and also to be trained on", pairs)
    pairs = [f"{pair.first} = {pair.second}" for pair in report.in_two_classes]
    return text + _problems("the same, but in two classes", pairs)


def not_used(left_out: Sequence[LeftOut]) -> str | None:
    """Return how many files are left out that may have been meant to be images, in words. None without any."""
    by_kind = _by_kind([each for each in left_out if each.may_matter])
    if not by_kind:
        return None
    kinds = ", ".join(f"{kind}: {len(paths)}" for kind, paths in by_kind.items())
    n, first = sum(map(len, by_kind.values())), Path(next(iter(by_kind.values()))[0])
    return f"not used: {n} file{'s' * (n != 1)} ({kinds}), such as {Path(*first.parts[-2:])}"


def _left_out_lines(left_out: Sequence[LeftOut]) -> list[str]:
    """Return the lines about the files that are left out: for each kind their number, and the first of them."""
    text = [line for kind, paths in _by_kind(left_out).items() for line in listed(f"Left out, {kind}", paths)]
    return [*text, ""] if text else []


def _by_kind(left_out: Sequence[LeftOut]) -> dict[str, list[str]]:
    """Return the paths of each kind, the kinds that may matter first."""
    kinds = dict.fromkeys(each.kind for each in sorted(left_out, key=lambda each: not each.may_matter))
    return {kind: [printable(str(each.path)) for each in left_out if each.kind == kind] for kind in kinds}


class _PartReport:
    """The report on one part. The constructor reads every image once."""

    def __init__(self, source: Source | None, part: str, decoding: DecodingOptions) -> None:
        """`part` is "training" or "held-out". It is used in the names of images that are not from files.

        A `source` of None has no image.
        """
        self.sizes: list[tuple[int, int]] = []
        """(width, height) of each readable image."""
        self.n_grey = 0
        self.readable: list[tuple[str, bytes]] = []
        """The name and the hash of each readable image."""
        self.first_by_hash: dict[bytes, tuple[str, int]] = {}
        """For each hash, the name and the label of the first image that has it."""
        self.unreadable: list[UnreadableFile] = []
        self.in_two_classes: list[DuplicatePair] = []
        self._source = source
        self._histogram: NDArray[np.int64] = np.zeros((3, 256), dtype=np.int64)
        if source is None:
            return
        for i, (summary, label) in enumerate(zip(summarize(source, decoding), source.labels.tolist(), strict=True)):
            name = printable(str(source.paths[i])) if isinstance(source, Files) else f"{part} image {i}"
            if isinstance(summary, str):
                self.unreadable.append(UnreadableFile(name, summary))
            else:
                self._add(name, label, summary)

    def _add(self, name: str, label: int, summary: ImageSummary) -> None:
        self.sizes.append(summary.size)
        self.n_grey += summary.is_grey
        self.readable.append((name, summary.pixel_hash))
        first_name, first_label = self.first_by_hash.setdefault(summary.pixel_hash, (name, label))
        if first_label != label:
            self.in_two_classes.append(DuplicatePair(first_name, name))
        if summary.histogram is not None:
            self._histogram += summary.histogram

    def pixel_statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the mean and the standard deviation of each channel, scaled to 0..1.

        Both are empty if no image can be read. Those of files are computed from the histograms, so that no file is read
        twice.
        """
        if isinstance(self._source, Part):
            return images.statistics(self._source)
        if not self.sizes:
            return (), ()
        values, n_pixels = np.arange(256) / 255, self._histogram[0].sum()
        mean = self._histogram @ values / n_pixels
        std = np.sqrt(np.maximum(self._histogram @ values**2 / n_pixels - mean**2, 0))
        return tuple(mean.tolist()), tuple(std.tolist())


def _size_statistics(sides: list[int]) -> SizeStatistics | None:
    return SizeStatistics(min(sides), float(statistics.median(sides)), max(sides)) if sides else None


def _table(classes: Sequence[ClassCounts]) -> list[str]:
    """Return the lines of a table of the classes, in as many columns as fit, filled column by column."""
    longest = min(max(len(each.name) for each in classes), MAX_NAME_LENGTH)
    cells = [f"{each.name[:longest]:{longest}}{each.n_training:8}{each.n_held_out:10}" for each in classes]
    header = f"{'class':{longest}}{'search':>8}{'held out':>10}"
    n_columns = max(1, min((WIDTH + 3) // (len(header) + 3), len(cells)))
    n_rows = -(-len(cells) // n_columns)
    rows = ["   ".join(cells[row::n_rows]) for row in range(n_rows)]
    return ["   ".join([header] * -(-len(cells) // n_rows)), *rows]


def _problems(kind: str, problems: Sequence[str]) -> list[str]:
    """Return the lines about problems of one kind: their number, and the first of them."""
    return listed(f"Images that are {kind}", problems) if problems else []


def listed(title: str, entries: Sequence[str], n: int | None = None) -> list[str]:
    """Return the lines of a list: the title with the number of entries, and the first of them.

    `n` is the number of entries if not all of them are given.
    """
    n = len(entries) if n is None else n
    shown = [f"  {entry}" for entry in entries[:N_SHOWN]]
    rest = [f"  and {n - N_SHOWN} more"] if n > N_SHOWN else []
    return [f"{title}: {n}", *shown, *rest]

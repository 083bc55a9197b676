"""The share of each class in each part of a data set, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from trainables.data.dataset import Source

MAX_ROWS = 12
"""The largest number of classes that are shown. Of more, those with the most unequal shares and the smallest are."""
MAX_NAME_LENGTH = 28
"""The largest number of characters of a class name that are shown, so that a line has at most 80."""


@dataclass(frozen=True)
class ClassShare:
    """A class with its number of images in each part, and its share of each part."""

    name: str
    counts: tuple[int, ...]
    shares: tuple[float, ...]
    """The number of images of the class, divided by that of the part: 0 to 1."""

    @property
    def inequality(self) -> float:
        """The difference between the largest and the smallest share, divided by the mean share. 0 for equal shares."""
        mean = sum(self.shares) / len(self.shares)
        return (max(self.shares) - min(self.shares)) / mean if mean else 0.0


def compute(parts: Mapping[str, Source], classes: Sequence[str]) -> list[ClassShare]:
    """Return the counts and shares of each class in the parts, in the order of the labels."""
    counts = [part.labels.bincount(minlength=len(classes)).tolist() for part in parts.values()]
    totals = [len(part) for part in parts.values()]
    return [
        ClassShare(name, n, tuple(each / total for each, total in zip(n, totals, strict=True)))
        for name, *values in zip(classes, *counts, strict=True)
        for n in (tuple(values),)
    ]


def lines(shares: Sequence[ClassShare], parts: Sequence[str]) -> list[str]:
    """Return a table of the shares in percent. `parts` holds the names of the parts."""
    shown, title = list(shares), "Share of each class in each part, in percent:"
    if len(shares) > MAX_ROWS:
        unequal = sorted(shares, key=lambda each: -each.inequality)[: MAX_ROWS // 2]
        smallest = sorted((each for each in shares if each not in unequal), key=lambda each: sum(each.counts))
        shown = unequal + smallest[: MAX_ROWS - len(unequal)]
        title = (
            f"Share of a class in each part, in percent: {len(unequal)} of {len(shares)} classes with the\n"
            "most unequal shares, then the smallest of the others:"
        )
    width = max(len("class"), *(min(len(each.name), MAX_NAME_LENGTH) for each in shown))
    header = f"  {'class':{width}}" + "".join(f"{part:>12}" for part in parts) + f"{'images':>10}"
    rows = [
        f"  {each.name[:width]:{width}}"
        + "".join(f"{100 * share:12.2f}" for share in each.shares)
        + f"{sum(each.counts):10}"
        for each in shown
    ]
    return [*title.split("\n"), header, *rows]


def table(shares: Sequence[ClassShare], parts: Sequence[str]) -> pd.DataFrame:
    """Return all classes as a table, with the columns class, and for each part its images and its share."""
    content: dict[str, object] = {"class": [each.name for each in shares]}
    for i, part in enumerate(parts):
        content[f"{part}_images"] = [each.counts[i] for each in shares]
        content[f"{part}_share"] = [each.shares[i] for each in shares]
    return pd.DataFrame(content)

"""Charts of the test results of each class: a confusion matrix, and precision, recall and F1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpo.figures import style
from hpo.figures.charts import ErrorBar
from hpo.figures.style import COLOURS, Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

N_NUMBERED = 20
"""The largest number of classes for which the cells of a confusion matrix show numbers."""
N_NAMED = 120
"""The largest number of classes that the axes of a confusion matrix name."""
N_ROWS = 120
"""The largest number of classes that `per_class` shows: those with the lowest recall."""
NAME_WIDTH = 28
"""The largest number of characters of the name of a class."""


@dataclass(frozen=True)
class ClassScores:
    """The test result of one class, over the seeds of a trial."""

    name: str
    support: int
    """The number of images of the class."""
    precision: ErrorBar
    recall: ErrorBar
    f1: ErrorBar


def confusion(title: str, counts: Array, classes: Sequence[str], *, clear: bool = False) -> Figure:
    """Show a confusion matrix (n_classes, n_classes) of counts: the rows are the true classes.

    `counts` may be means over seeds. The colour of a cell is its share of the images of the true class. With `clear`,
    the background shows through where the share is low, so that it may have any colour.
    """
    from matplotlib.colors import LinearSegmentedColormap

    blues = LinearSegmentedColormap.from_list("clear blues", [(0.25, 0.56, 0.85, alpha) for alpha in (0, 1)])
    n = len(classes)
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.where(totals > 0, totals, 1)
    cell = 0.5 if n <= N_NUMBERED else max(0.09, min(0.22, 11 / n))
    side = max(2.2, cell * n)
    figure = style.figure(max(5.5, side + 2.8), side + 2.4, title)
    ax = figure.subplots()
    drawn = ax.imshow(shares, cmap=blues if clear else "Blues", vmin=0, vmax=1, interpolation="nearest")
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="predicted class", ylabel="true class")
    if n <= N_NAMED:
        names = [style.shorten(name, NAME_WIDTH) for name in classes]
        size = max(4.0, min(9.0, cell * 55))
        ax.set_xticks(range(n), names, rotation=90, fontsize=size)
        ax.set_yticks(range(n), names, fontsize=size)
    else:
        ax.set(xticks=[], yticks=[])
    if n <= N_NUMBERED:
        _number_cells(ax, counts, shares, dark=1.1 if clear else 0.55)
    figure.colorbar(drawn, ax=ax, shrink=0.8, label="share of the images of the true class")
    return figure


def _number_cells(ax: Axes, counts: Array, shares: Array, dark: float) -> None:
    """Write the count of each cell that is not 0 into it, with one digit after the point if it is no whole number.

    The text is white where the share of a cell is above `dark`.
    """
    for row, column in np.argwhere(counts > 0).tolist():
        count = float(counts[row, column])
        text = f"{count:.0f}" if count.is_integer() else f"{count:.1f}"
        colour = "white" if shares[row, column] > dark else "#202020"
        ax.text(column, row, text, ha="center", va="center", color=colour, fontsize=8 if len(text) < 5 else 6.5)


def per_class(title: str, classes: Sequence[ClassScores]) -> Figure:
    """Plot precision, recall and F1 of each class in a row of its own. The classes with the lowest recall come first.

    A class without an image is left out. Error bars are the standard deviations over seeds.
    """
    known = sorted((each for each in classes if each.support), key=lambda each: (each.recall.mean, each.f1.mean))
    shown = known[:N_ROWS]
    if len(shown) < len(known):
        title += f", the {len(shown)} of {len(known)} classes with the lowest recall"
    figure = style.figure(8, max(2.9, 1.7 + 0.24 * len(shown)), title)
    ax = figure.subplots()
    rows = range(len(shown))
    for name, label, colour, marker, shift in (
        ("precision", "precision", COLOURS[0], "o", -0.2),
        ("recall", "recall", COLOURS[2], "D", 0.0),
        ("f1", "F1", COLOURS[4], "s", 0.2),
    ):
        means, stds = zip(*(getattr(each, name) for each in shown), strict=True)
        # The rows are shifted a little, because equal values would cover each other.
        shifted = [row + shift for row in rows]
        bars = np.array([std or math.nan for std in stds])
        # The bars end at 0 and 1, because no share lies outside.
        lower, upper = np.minimum(bars, means), np.minimum(bars, np.maximum(1 - np.array(means), 0))
        ax.errorbar(means, shifted, xerr=[lower, upper], fmt=marker, color=colour, capsize=2, markersize=4, label=label)
    labels = [f"{style.shorten(each.name, NAME_WIDTH)} ({each.support})" for each in shown]
    ax.set_yticks(rows, labels, fontsize=8)
    ax.set_ylim(len(shown) - 0.4, -0.6)
    ax.set(xlabel="precision, recall and F1", ylabel="class (images)", xlim=(-0.03, 1.03))
    figure.legend(loc="outside lower right", ncols=3)
    return figure

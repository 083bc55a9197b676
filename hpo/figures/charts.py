"""Charts of numbers: learning curves, accuracies with error bars, and points of many classes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from hpo.figures import style
from hpo.figures.style import COLOURS, Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

LOG_SCALE_RATIO = 30
"""Losses are shown on a log scale if the highest is more than this many times the lowest."""
N_LEGEND = 20
"""The largest number of classes that a legend lists."""
LABEL_WIDTH = 40
"""The largest number of characters of a label in a legend beside a figure."""
PAIR_LABEL_WIDTH = 70
"""The largest number of characters of the label of a row."""
WIDTH = 140
"""The number of characters in a line of the legend below a figure."""


@dataclass(frozen=True)
class Curve:
    """The learning curve of one trial."""

    label: str
    metrics: Mapping[str, Sequence[float]]
    """val_loss, train_loss, val_accuracy, train_accuracy, if known, and others: a value for each epoch from 1."""
    stop: int
    """The stopping epoch."""


@dataclass(frozen=True)
class Line:
    """A line through some points, each with an error bar."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    spread: Sequence[float]
    """The length of each error bar. A bar of length 0 is not drawn."""


class ErrorBar(NamedTuple):
    """The mean and standard deviation of a value over seeds."""

    mean: float
    std: float
    """0 if there is only one seed."""


@dataclass(frozen=True)
class Pair:
    """The accuracy of a tested trial on validation data and on held-out data."""

    label: str
    validation: ErrorBar
    test: ErrorBar


def curves(title: str, curves: Sequence[Curve]) -> Figure:
    """Plot loss, accuracy and any other metrics over epochs, each in a panel.

    Validation is solid with a dot at the stopping epoch; training is dashed.
    """
    names = dict.fromkeys(["val_loss", "val_accuracy", *(name for curve in curves for name in curve.metrics)])
    validation = [name for name in names if name.startswith("val_") and any(name in curve.metrics for curve in curves)]
    kinds = [name.removeprefix("val_") for name in validation]
    labels = ["\n".join(textwrap.wrap(style.plain(curve.label), WIDTH)) for curve in curves]
    columns = max(1, min(4, WIDTH // (8 + max(map(len, labels)))))
    rows = -(-sum(1 + label.count("\n") for label in labels) // columns)
    figure = style.figure(10, 4.2 + 0.18 * rows, title)
    axes = figure.subplots(1, len(kinds), squeeze=False)[0]
    for kind, ax in zip(kinds, axes, strict=True):
        handles = [
            _curve(ax, curve, kind, colour) for curve, colour in zip(curves, style.colours(len(curves)), strict=True)
        ]
        ax.set(xlabel="epoch", ylabel=kind.replace("_", " "))
        ax.xaxis.get_major_locator().set_params(integer=True)
        if kind == "loss" and (ratio := _loss_ratio(curves)) > LOG_SCALE_RATIO:
            use_log_scale(ax, fine=ratio < 1000)
    style.legend(figure, handles, labels, loc="outside lower left", ncols=columns, fontsize=8)
    for name, dash in (("validation", "-"), ("training", "--")):
        axes[0].plot([], [], dash, color="#404040", label=name)
    axes[0].legend(loc="best")
    return figure


def _curve(ax: Axes, curve: Curve, kind: str, colour: str) -> Line2D:
    """Draw the loss or the accuracy of a trial. Returns the line of the validation, for the legend."""
    for part, dash, width in (("train", "--", 1.1), ("val", "-", 1.7)):
        values = [value if math.isfinite(value) else math.nan for value in curve.metrics.get(f"{part}_{kind}", ())]
        epochs = range(1, len(values) + 1)
        (line,) = ax.plot(epochs, values, dash, color=colour, linewidth=width)
        if part == "val" and curve.stop <= len(values):
            ax.plot([curve.stop], [values[curve.stop - 1]], "o", color=colour, markersize=4.5)
    return line


def _loss_ratio(curves: Sequence[Curve]) -> float:
    """The highest loss divided by the lowest. Returns 0 if a loss is negative or none is positive: no log scale then.

    Losses that are 0 or not finite do not count.
    """
    names = ("val_loss", "train_loss")
    values = [value for curve in curves for name in names for value in curve.metrics.get(name, ())]
    positive = [value for value in values if 0 < value < math.inf]
    return 0 if not positive or any(value < 0 for value in values) else max(positive) / min(positive)


def use_log_scale(ax: Axes, *, fine: bool) -> None:
    """Give the y axis a log scale with plain numbers. `fine` also labels 2 and 5 in each decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if fine else (1,)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
    ax.minorticks_off()


def points(title: str, points: Array, labels: Array, classes: Sequence[str]) -> Figure:
    """Plot points (n, 2) in the colours of their labels (n,).

    A legend names the classes, unless there are too many to tell their colours apart.
    """
    has_legend = len(classes) <= N_LEGEND
    figure = style.figure(8 if has_legend else 7, 6.6, title)
    ax = figure.subplots()
    colours = COLOURS if has_legend else style.rainbow(len(classes))
    size = min(40, max(12, 12000 / len(points)))
    handles = []
    for label in range(len(classes)):
        x, y = points[labels == label].T
        marker = "o" if label < len(COLOURS) or not has_legend else "^"
        colour = colours[label % len(colours)]
        handles.append(ax.scatter(x, y, s=size, marker=marker, color=colour, linewidths=0, alpha=0.85))
    ax.set(xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set_visible(False)
    if has_legend:
        names = [style.shorten(name, 24) for name in classes]
        style.legend(figure, handles, names, loc="outside right center", markerscale=1.5)  # below the title
    return figure


def lines(title: str, lines: Sequence[Line], *, x: str, y: str, legend: str) -> Figure:
    """Plot lines with error bars over a log scale of base 2.

    `x` and `y` label the axes. `legend` is the title of the legend; if it is empty, there is no legend.
    """
    figure = style.figure(7, 4.6, title)
    ax = figure.subplots()
    handles: list[Any] = []  # matplotlib's types leave out error bars
    for i, (line, colour) in enumerate(zip(lines, style.colours(len(lines)), strict=True)):
        # Each line is shifted a little sideways, because error bars on top of each other cannot be told apart.
        shift = 2 ** (0.06 * (i - (len(lines) - 1) / 2))
        shifted = [value * shift for value in line.x]
        spread = [length or math.nan for length in line.spread]
        bars = ax.errorbar(shifted, line.y, spread, fmt="o-", color=colour, capsize=3, markersize=4)
        handles.append(bars)
    ticks = sorted({value for line in lines for value in line.x})
    ax.set_xscale("log", base=2)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.set(xlabel=x, ylabel=y)
    if legend:
        labels = [style.shorten(line.label, LABEL_WIDTH) for line in lines]
        style.legend(figure, handles, labels, loc="outside right center", title=legend)
    return figure


def pairs(title: str, pairs: Sequence[Pair]) -> Figure:
    """Plot one row for each trial: validation and test accuracy, the gap between them, and error bars over seeds.

    The legend explains the grey bar, which is the gap.
    """
    figure = style.figure(8, 1.7 + 0.34 * len(pairs), title)
    ax = figure.subplots()
    rows = range(len(pairs))
    for row, pair in zip(rows, pairs, strict=True):
        label = None if row else "the gap between them"
        ax.plot([pair.validation[0], pair.test[0]], [row, row], color="#cccccc", linewidth=5, zorder=1, label=label)
    for name, colour, marker, shift in (("validation", COLOURS[0], "o", -0.13), ("test", COLOURS[2], "D", 0.13)):
        means, stds = zip(*(getattr(pair, name) for pair in pairs), strict=True)
        # Only error bars need to be shifted: they would cover each other.
        shifted = [row + shift * any(stds) for row in rows]
        bars = [std or math.nan for std in stds]
        ax.errorbar(means, shifted, xerr=bars, fmt=marker, color=colour, capsize=2, markersize=5.5, label=name)
    ax.set_yticks(rows, [style.shorten(pair.label, PAIR_LABEL_WIDTH) for pair in pairs], fontsize=8)
    ax.set_ylim(len(pairs) - 0.4, -0.6)
    ax.set(xlabel="accuracy")
    ax.grid(axis="y", visible=False)
    handles, names = ax.get_legend_handles_labels()
    # The gap is drawn first, and explained last.
    figure.legend([*handles[1:], handles[0]], [*names[1:], names[0]], loc="outside lower right", ncols=3)
    return figure

"""Figures of numbers: learning curves, accuracies with their spread, points of many classes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hpo.figures import style
from hpo.figures.style import COLOURS, Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

SPAN = 30
"""Where the greatest loss is more than so many times the least, losses are shown on a log scale."""
N_LEGEND = 20
"""Classes that a legend names at most."""
WIDTH = 140
"""Characters of a line in the legend below a figure."""


@dataclass(frozen=True)
class Curve:
    """The learning curve of one trial."""

    label: str
    metrics: Mapping[str, Sequence[float]]
    """val_loss, train_loss, val_accuracy, train_accuracy, those that are known: a value an epoch, from epoch 1 on."""
    stop: int
    """The stopping epoch."""


@dataclass(frozen=True)
class Line:
    """Some points in a row, with their spread; a spread of 0 is not shown."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    spread: Sequence[float]


class ErrorBar(NamedTuple):
    """A value over seeds: its mean, and its standard deviation, 0 where there is one seed."""

    mean: float
    std: float


@dataclass(frozen=True)
class Pair:
    """The accuracy of a tested trial on validation and on held-out data."""

    label: str
    validation: ErrorBar
    test: ErrorBar


def curves(title: str, curves: Sequence[Curve]) -> Figure:
    """Loss and accuracy against the epoch: validation solid, with a dot at the stopping epoch, training dashed."""
    kinds = [kind for kind in ("loss", "accuracy") if any(f"val_{kind}" in curve.metrics for curve in curves)]
    labels = ["\n".join(textwrap.wrap(curve.label, WIDTH)) for curve in curves]
    columns = max(1, min(4, WIDTH // (8 + max(map(len, labels)))))
    rows = -(-sum(1 + label.count("\n") for label in labels) // columns)
    figure = style.figure(10, 4.2 + 0.18 * rows, title)
    planes = figure.subplots(1, len(kinds), squeeze=False)[0]
    for kind, plane in zip(kinds, planes, strict=True):
        handles = [
            _curve(plane, curve, kind, colour) for curve, colour in zip(curves, style.colours(len(curves)), strict=True)
        ]
        plane.set(xlabel="epoch", ylabel=kind)
        plane.xaxis.get_major_locator().set_params(integer=True)
        if kind == "loss" and (span := _span(curves)) > SPAN:
            _log_scale(plane, fine=span < 1000)
    figure.legend(handles, labels, loc="outside lower left", ncols=columns, fontsize=8)
    for name, dash in (("validation", "-"), ("training", "--")):
        planes[0].plot([], [], dash, color="#404040", label=name)
    planes[0].legend(loc="best")
    return figure


def _curve(plane: Axes, curve: Curve, kind: str, colour: str) -> Line2D:
    """Draw one metric of a trial; the handle of its validation."""
    for part, dash, width in (("train", "--", 1.1), ("val", "-", 1.7)):
        values = [value if math.isfinite(value) else math.nan for value in curve.metrics.get(f"{part}_{kind}", ())]
        epochs = range(1, len(values) + 1)
        (line,) = plane.plot(epochs, values, dash, color=colour, linewidth=width)
        if part == "val" and curve.stop <= len(values):
            plane.plot([curve.stop], [values[curve.stop - 1]], "o", color=colour, markersize=4.5)
    return line


def _span(curves: Sequence[Curve]) -> float:
    """How many times the least loss the greatest is; 0 where that says nothing."""
    names = ("val_loss", "train_loss")
    values = [value for curve in curves for name in names for value in curve.metrics.get(name, ())]
    positive = [value for value in values if 0 < value < math.inf]
    return 0 if not positive or any(value < 0 for value in values) else max(positive) / min(positive)


def _log_scale(plane: Axes, *, fine: bool) -> None:
    """A log scale of plain numbers; `fine` names 2 and 5 in each decade, too."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    plane.set_yscale("log")
    plane.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if fine else (1,)))
    plane.yaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    plane.minorticks_off()


def points(title: str, points: Array, labels: Array, classes: Sequence[str]) -> Figure:
    """Points (n, 2) in the colours of their labels (n,); a legend where the classes are few enough to be told apart."""
    named = len(classes) <= N_LEGEND
    figure = style.figure(8 if named else 7, 6.6, title)
    plane = figure.subplots()
    colours = COLOURS if named else style.rainbow(len(classes))
    size = min(40, max(12, 12000 / len(points)))
    for label, name in enumerate(classes):
        x, y = points[labels == label].T
        marker = "o" if label < len(COLOURS) or not named else "^"
        colour = colours[label % len(colours)]
        plane.scatter(x, y, s=size, marker=marker, color=colour, linewidths=0, alpha=0.85, label=style.short(name, 24))
    plane.set(xticks=[], yticks=[], aspect="equal")
    plane.spines[:].set_visible(False)
    if named:
        figure.legend(loc="outside right upper", markerscale=1.5)
    return figure


def lines(title: str, lines: Sequence[Line], *, x: str, y: str, legend: str) -> Figure:
    """Lines over a scale of powers of two, with error bars; `legend` says what their labels are, nothing for none."""
    figure = style.figure(7, 4.6, title)
    plane = figure.subplots()
    for i, (line, colour) in enumerate(zip(lines, style.colours(len(lines)), strict=True)):
        # Side by side: bars over one another cannot be told apart.
        aside = 2 ** (0.06 * (i - (len(lines) - 1) / 2))
        at = [value * aside for value in line.x]
        spread = [each or math.nan for each in line.spread]
        plane.errorbar(at, line.y, spread, fmt="o-", color=colour, capsize=3, markersize=4, label=line.label)
    ticks = sorted({value for line in lines for value in line.x})
    plane.set_xscale("log", base=2)
    plane.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    plane.minorticks_off()
    plane.set(xlabel=x, ylabel=y)
    if legend:
        figure.legend(loc="outside right upper", title=legend)
    return figure


def pairs(title: str, pairs: Sequence[Pair]) -> Figure:
    """A row a trial: its two accuracies and the gap between them, with error bars over seeds."""
    figure = style.figure(8, 1.7 + 0.34 * len(pairs), title)
    plane = figure.subplots()
    rows = range(len(pairs))
    for row, pair in zip(rows, pairs, strict=True):
        plane.plot([pair.validation[0], pair.test[0]], [row, row], color="#cccccc", linewidth=5, zorder=1)
    for name, colour, marker, aside in (("validation", COLOURS[0], "o", -0.13), ("test", COLOURS[2], "D", 0.13)):
        means, spreads = zip(*(getattr(pair, name) for pair in pairs), strict=True)
        at = [row + aside * any(spreads) for row in rows]
        bars = [each or math.nan for each in spreads]
        plane.errorbar(means, at, xerr=bars, fmt=marker, color=colour, capsize=2, markersize=5.5, label=name)
    plane.set_yticks(rows, [pair.label for pair in pairs], fontsize=8)
    plane.set_ylim(len(pairs) - 0.4, -0.6)
    plane.set(xlabel="accuracy")
    plane.grid(axis="y", visible=False)
    figure.legend(loc="outside lower right", ncols=2)
    return figure

"""Charts of a search: its best value so far, the importance of hyperparameters, and partial dependence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo.figures import charts, style
from hpo.figures.style import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

N_COLUMNS = 3
"""The largest number of partial dependences in a row."""
N_POINTS = 500
"""The largest number of steps of a line that are drawn."""
CHOICE_WIDTH = 12
"""The largest number of characters of a choice below a partial dependence."""
NAME_WIDTH = 30
"""The largest number of characters of the name of a hyperparameter beside a bar."""


@dataclass(frozen=True)
class Steps:
    """The best value of a search so far."""

    label: str
    x: Sequence[float]
    """Epochs or seconds, ascending."""
    y: Sequence[float]
    """The best value after each of them. It may be infinite at first."""


@dataclass(frozen=True)
class Bar:
    """The importance of one hyperparameter, as shares of the variance."""

    name: str
    main: float
    """What it explains by itself."""
    total: float
    """That, and its interactions."""
    low: float
    high: float
    """The interval of `total`."""
    stands_out: bool
    """Whether it can be told apart from random numbers."""


@dataclass(frozen=True)
class Dependence:
    """The average objective for each value of one hyperparameter, with an interval."""

    name: str
    values: Sequence[float]
    """The values of a range, or the positions 0, 1, ... of choices."""
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    log: bool = False
    """Whether the values are shown on a logarithmic scale."""
    choices: Sequence[str] = ()
    """The choices of a categorical hyperparameter."""


def best_so_far(title: str, panels: Mapping[str, Sequence[Steps]], *, y: str) -> Figure:
    """Plot the best values of one or more searches, in one panel for each label of the x axis.

    All panels show the same searches in the same order. Their names stand in a legend if there are several.
    """
    return best_so_far_by_objective(title, {y: panels})


def best_so_far_by_objective(title: str, rows: Mapping[str, Mapping[str, Sequence[Steps]]]) -> Figure:
    """Plot the best values of searches, in a row of panels as those of `best_so_far` for each label of the y axis.

    The rows have the same labels of the x axis, and different searches, which have colours of their own.
    """
    labels = list(next(iter(rows.values())))
    figure = style.figure(5 * len(labels), 3.6 * len(rows), title)
    axes = figure.subplots(len(rows), len(labels), sharey="row", squeeze=False)
    colours = iter(style.colours(sum(len(panels[labels[0]]) for panels in rows.values())))
    handles, names = [], []
    for row, (y, panels) in zip(axes, rows.items(), strict=True):
        drawn = _best_so_far_panels(row, panels, [next(colours) for _ in panels[labels[0]]])
        row[0].set_ylabel(y)
        handles += drawn
        names += [style.shorten(line.label, charts.LABEL_WIDTH) for line in panels[labels[0]]]
    if len(handles) > 1:
        style.legend(figure, handles, names, loc="outside lower left", ncols=min(3, len(names)))
    return figure


def _best_so_far_panels(
    axes: Sequence[Axes], panels: Mapping[str, Sequence[Steps]], colours: Sequence[str]
) -> list[Line2D]:
    """Plot the best values of searches of one objective, and return a line of each."""
    values = [value for lines in panels.values() for line in lines for value in line.y if math.isfinite(value)]
    low, high = min(values, default=0.0), max(values, default=0.0)
    handles: list[Line2D] = []
    for ax, (label, lines) in zip(axes, panels.items(), strict=True):
        handles = [
            ax.plot(*_corners(line), drawstyle="steps-post", color=colour, linewidth=1.8)[0]
            for line, colour in zip(lines, colours, strict=True)
        ]
        ax.set(xlabel=label)
        if low > 0 and high / low > charts.LOG_SCALE_RATIO:
            charts.use_log_scale(ax, fine=high / low < 1000)
    return handles


def _corners(line: Steps) -> tuple[list[float], list[float]]:
    """The points at which a line falls, and its end. If there are too many, evenly spread ones."""
    kept = [i for i in range(len(line.y)) if math.isfinite(line.y[i]) and (i == 0 or line.y[i] < line.y[i - 1])]
    if len(kept) > N_POINTS:
        kept = [kept[round(i * (len(kept) - 1) / (N_POINTS - 1))] for i in range(N_POINTS)]
    if kept:
        kept.append(len(line.y) - 1)
    return [line.x[i] for i in kept], [line.y[i] for i in kept]


def importance(title: str, bars: Sequence[Bar], noise: float) -> Figure:
    """Plot a bar for each hyperparameter, the first at the top, with its interval. `noise` is that of random numbers.

    Hyperparameters that cannot be told apart from random numbers have no bar, only an interval.
    """
    figure = style.figure(7.5, 1.5 + 0.36 * len(bars), title)
    ax = figure.subplots()
    for row, bar in enumerate(bars):
        labels = ("with its interactions", "by itself") if not any(each.stands_out for each in bars[:row]) else ("", "")
        if bar.stands_out:
            ax.barh(row, bar.total, 0.62, color=COLOURS[0], alpha=0.35, label=labels[0] or None)
            ax.barh(row, min(bar.main, bar.total), 0.62, color=COLOURS[0], label=labels[1] or None)
        colour = "#404040" if bar.stands_out else COLOURS[3]
        ax.plot([bar.low, bar.high], [row, row], color=colour, linewidth=1.4)
        ax.plot([bar.total], [row], "|", color=colour, markersize=8)
    ax.axvline(noise, color=COLOURS[2], linestyle=":", linewidth=1.3, label="random numbers")
    ax.set_yticks(range(len(bars)), [style.shorten(bar.name, NAME_WIDTH) for bar in bars])
    ax.set(xlim=(0, 1.02), ylim=(len(bars) - 0.4, -0.6), xlabel="share of the variance")
    ax.grid(axis="y", visible=False)
    figure.legend(loc="outside lower right", ncols=3)
    return figure


def dependences(title: str, panels: Sequence[Dependence], *, y: str) -> Figure:
    """Plot the average objective over each hyperparameter, with its interval. All share one y axis."""
    columns = min(N_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = style.figure(10 if columns > 1 else 5, 0.4 + 2.6 * rows, title)
    axes = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
    for ax, panel in zip(axes, panels, strict=False):
        _dependence(ax, panel)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    for ax in axes[: len(panels) : columns]:
        ax.set_ylabel(y)
    return figure


def _dependence(ax: Axes, panel: Dependence) -> None:
    ax.set_xlabel(style.shorten(panel.name, NAME_WIDTH))
    if panel.choices:
        errors = [
            [mean - low for mean, low in zip(panel.mean, panel.low, strict=True)],
            [high - mean for mean, high in zip(panel.mean, panel.high, strict=True)],
        ]
        ax.errorbar(panel.values, panel.mean, errors, fmt="o", color=COLOURS[0], capsize=3, markersize=5)
        names = [style.shorten(choice, CHOICE_WIDTH) for choice in panel.choices]
        is_long = sum(map(len, names)) > 26
        ax.set_xticks(panel.values, names, rotation=30 if is_long else 0, ha="right" if is_long else "center")
        ax.margins(x=0.2)
        return
    ax.fill_between(panel.values, panel.low, panel.high, color=COLOURS[0], alpha=0.25, linewidth=0)
    ax.plot(panel.values, panel.mean, color=COLOURS[0], linewidth=1.8)
    if panel.log:
        from matplotlib.ticker import FuncFormatter, LogLocator

        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(numticks=6))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
        ax.minorticks_off()

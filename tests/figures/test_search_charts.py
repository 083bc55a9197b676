"""Charts of a search, its importance and its partial dependences."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from hpo.figures import search_charts, style
from hpo.figures.search_charts import Bar, Dependence, Steps


@pytest.fixture(autouse=True)
def _style() -> Iterator[None]:
    with style.style():
        yield


def drawn(figure: Any) -> Any:
    """The figure with all its parts in place."""
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    return figure


def legends(figure: Any) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_a_line_has_the_points_at_which_it_falls_and_its_end() -> None:
    steps = Steps("s", [1, 2, 3, 4, 5], [math.inf, 0.5, 0.5, 0.4, 0.4])
    figure = drawn(search_charts.best_so_far("", {"epochs": [steps]}, y="val_loss"))
    (line,) = figure.axes[0].lines
    assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == ([2, 4, 5], [0.5, 0.4, 0.4])
    assert line.get_drawstyle() == "steps-post"
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("epochs", "val_loss")
    assert legends(figure) == []


def test_a_long_line_is_thinned_and_keeps_both_ends() -> None:
    n = 5000
    steps = Steps("s", list(range(n)), [n - i for i in range(n)])
    (line,) = drawn(search_charts.best_so_far("", {"epochs": [steps]}, y="val_loss")).axes[0].lines
    x = line.get_xdata()
    assert len(x) == search_charts.N_POINTS + 1
    assert (x[0], x[-1]) == (0, n - 1)


def test_searches_of_different_objectives_have_axes_of_their_own_and_one_legend() -> None:
    rows = {
        y: {label: [Steps(name, [1, 2], [high, high / 2]) for name in names] for label in ("epochs", "minutes")}
        for y, high, names in (("val_error", 0.5, ("one", "two")), ("val_loss", 40.0, ("three",)))
    }
    figure = drawn(search_charts.best_so_far_by_objective("", rows))
    assert [ax.get_ylabel() for ax in figure.axes] == ["val_error", "", "val_loss", ""]
    assert [len(ax.lines) for ax in figure.axes] == [2, 2, 1, 1]
    assert figure.axes[0].get_ylim()[1] < 1 < figure.axes[2].get_ylim()[0]
    assert legends(figure) == ["one", "two", "three"]
    assert len({line.get_color() for ax in figure.axes for line in ax.lines}) == 3


def test_several_searches_have_a_legend_and_the_same_colours_in_each_panel() -> None:
    lines = [Steps(name, [1, 2], [0.3, 0.2]) for name in ("one", "two")]
    figure = drawn(search_charts.best_so_far("", {"epochs": lines, "minutes": lines}, y="val_loss"))
    assert legends(figure) == ["one", "two"]
    colours = [[line.get_color() for line in ax.lines] for ax in figure.axes]
    assert colours[0] == colours[1]
    assert len(set(colours[0])) == 2


@pytest.mark.parametrize(("lowest", "scale"), [(1e-4, "log"), (0.9, "linear"), (-1.0, "linear")])
def test_values_over_several_orders_of_magnitude_have_a_logarithmic_scale(lowest: float, scale: str) -> None:
    figure = search_charts.best_so_far("", {"epochs": [Steps("s", [1, 2], [1.0, lowest])]}, y="val_loss")
    assert drawn(figure).axes[0].get_yscale() == scale


def test_a_search_without_a_finite_value_has_an_empty_panel() -> None:
    figure = drawn(search_charts.best_so_far("", {"epochs": [Steps("s", [1], [math.inf])]}, y="val_loss"))
    assert figure.axes[0].lines[0].get_xdata().tolist() == []


def test_only_what_stands_out_has_a_bar_and_all_have_intervals() -> None:
    bars = [Bar("lr", 0.5, 0.8, 0.6, 0.9, stands_out=True), Bar("seed", 0.1, 0.1, 0, 0.3, stands_out=False)]
    figure = drawn(search_charts.importance("", bars, 0.12))
    ax = figure.axes[0]
    assert [(round(patch.get_width(), 6), round(patch.get_y() + patch.get_height() / 2)) for patch in ax.patches] == [
        (0.8, 0),
        (0.5, 0),
    ]
    intervals = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2 and line.get_linestyle() == "-"]
    assert [list(each) for each in intervals] == [[0.6, 0.9], [0, 0.3]]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["lr", "seed"]
    assert set(legends(figure)) == {"with its interactions", "by itself", "random numbers"}
    assert ax.lines[-1].get_xdata() == [0.12, 0.12]


def test_a_range_is_a_line_with_a_band_and_choices_are_points() -> None:
    panels = [
        Dependence("lr", [1e-3, 1e-1], [0.3, 0.2], [0.2, 0.1], [0.4, 0.3], log=True),
        Dependence("optimizer", [0, 1], [0.3, 0.2], [0.2, 0.1], [0.4, 0.3], choices=("sgd", "adam")),
    ]
    ranged, chosen = drawn(search_charts.dependences("", panels, y="typical val_loss")).axes
    assert ranged.get_xscale() == "log"
    assert np.asarray(ranged.lines[0].get_ydata()).tolist() == [0.3, 0.2]
    assert len(ranged.collections) == 1
    assert ranged.get_ylabel() == "typical val_loss"
    assert [text.get_text() for text in chosen.get_xticklabels()] == ["sgd", "adam"]
    assert chosen.lines[0].get_marker() == "o"


def test_places_without_a_dependence_are_empty() -> None:
    panel = Dependence("lr", [0, 1], [0.3, 0.2], [0.2, 0.1], [0.4, 0.3])
    axes = drawn(search_charts.dependences("", [panel] * 4, y="")).axes
    assert [ax.axison for ax in axes] == [True] * 4 + [False] * 2

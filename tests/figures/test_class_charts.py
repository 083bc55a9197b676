"""Charts of the results of each class."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from hpo.figures import class_charts, style
from hpo.figures.charts import ErrorBar
from hpo.figures.class_charts import ClassScores


@pytest.fixture(autouse=True)
def _style() -> Iterator[None]:
    with style.style():
        yield


def drawn(figure: Any) -> Any:
    """The figure with all its parts in place."""
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    return figure


def scores(name: str, recall: float, support: int = 10) -> ClassScores:
    return ClassScores(name, support, ErrorBar(0.5, 0.1), ErrorBar(recall, 0), ErrorBar(0.6, 0))


def test_a_matrix_shows_the_share_of_each_true_class_and_its_counts() -> None:
    ax = drawn(class_charts.confusion("t", np.array([[3, 1, 0], [0, 0, 0], [0, 1.5, 0.5]]), list("abc"))).axes[0]
    assert np.asarray(ax.get_images()[0].get_array()).tolist() == [[0.75, 0.25, 0], [0, 0, 0], [0, 0.75, 0.25]]
    numbers = {tuple(text.get_position()): text.get_text() for text in ax.texts}
    assert numbers == {(0, 0): "3", (1, 0): "1", (1, 2): "1.5", (2, 2): "0.5"}
    assert [text.get_text() for text in ax.get_yticklabels()] == list("abc")


@pytest.mark.parametrize(
    ("n", "n_named", "n_numbers"), [(2, 2, 2), (20, 20, 20), (21, 21, 0), (101, 101, 0), (300, 0, 0)]
)
def test_of_many_classes_neither_numbers_nor_names_are_written(n: int, n_named: int, n_numbers: int) -> None:
    figure = drawn(class_charts.confusion("t", np.eye(n), [f"$class_{i}" + "x" * 60 for i in range(n)]))
    ax = figure.axes[0]
    assert len(ax.get_yticklabels()) == n_named
    assert len(ax.texts) == n_numbers
    for label in (*ax.get_yticklabels(), *ax.get_xticklabels()):
        assert label.get_window_extent().x0 >= 0
        assert label.get_window_extent().y0 >= 0


def test_names_beside_each_other_do_not_overlap() -> None:
    ax = drawn(class_charts.confusion("t", np.eye(101), [f"class {i}" for i in range(101)])).axes[0]
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert all(upper.y0 >= lower.y1 - 1 for upper, lower in pairwise(boxes))


def test_long_names_that_differ_only_at_the_end_are_told_from_each_other() -> None:
    names = [f"a name of a class that is too long for the axis {i}" for i in range(12)]
    ax = drawn(class_charts.confusion("t", np.eye(12), names)).axes[0]
    shown = [label.get_text() for label in ax.get_yticklabels()]
    assert len(set(shown)) == 12
    assert max(map(len, shown)) == class_charts.NAME_WIDTH


def test_the_classes_with_the_lowest_recall_come_first_and_those_without_an_image_are_left_out() -> None:
    classes = [scores("a", 0.9), scores("b", 0.2, 4), scores("c", float("nan"), 0), scores("$d_1$", 0.5)]
    ax = drawn(class_charts.per_class("t", classes)).axes[0]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["b (4)", "$d_1$ (10)", "a (10)"]
    recalls = np.asarray(ax.containers[1][0].get_xdata())
    assert recalls.tolist() == [0.2, 0.5, 0.9]
    assert len(ax.containers[0][2][0].get_segments()) == 3, "precision has error bars"


def test_no_error_bar_goes_below_0_or_above_1() -> None:
    classes = [
        ClassScores(name, 10, ErrorBar(mean, 0.3), ErrorBar(mean, 0.3), ErrorBar(mean, 0.3))
        for name, mean in (("a", 0.1), ("b", 0.5), ("c", 0.9), ("d", 1.0))
    ]
    ax = drawn(class_charts.per_class("t", classes)).axes[0]
    for container in ax.containers:
        ends = np.array([segment[:, 0] for segment in container[2][0].get_segments()])
        assert ends == pytest.approx(np.array([[0, 0.4], [0.2, 0.8], [0.6, 1], [0.7, 1]]))


def test_of_very_many_classes_only_those_with_the_lowest_recall_are_shown() -> None:
    figure = drawn(class_charts.per_class("t", [scores(f"{i}", i / 200) for i in range(200)]))
    assert len(figure.axes[0].get_yticklabels()) == 120
    assert figure.get_suptitle() == "t, the 120 of 200 classes with the lowest recall"

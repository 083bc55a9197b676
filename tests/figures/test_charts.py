from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from hpo.figures import charts, pictures, style
from hpo.figures.charts import Curve, ErrorBar, Line, Pair


@pytest.fixture(autouse=True)
def _style() -> Iterator[None]:
    with style.style():
        yield


def curve(label: str, *losses: float, stop: int = 1) -> Curve:
    metrics = {"val_loss": losses, "train_loss": [loss / 2 for loss in losses]}
    return Curve(label, metrics | {"val_accuracy": [0.5] * len(losses), "train_accuracy": [0.6] * len(losses)}, stop)


def drawn(figure: Any) -> Any:
    """The figure with all its parts in place."""
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    return figure


def shown(picture: Any) -> Any:
    """The pixels that the first panel of a figure shows."""
    return np.asarray(picture.axes[0].get_images()[0].get_array())


def test_validation_is_solid_and_training_dashed_in_one_colour_a_trial() -> None:
    plane = charts.curves("t", [curve("a", 2, 1), curve("b", 3, 2)]).axes[0]
    lines = [line for line in plane.get_lines() if len(np.asarray(line.get_xdata())) == 2]
    assert [line.get_linestyle() for line in lines] == ["--", "-", "--", "-"]
    assert np.asarray(lines[1].get_ydata()).tolist() == [2, 1]
    assert lines[0].get_color() == lines[1].get_color() != lines[2].get_color() == lines[3].get_color()


def test_another_metric_has_a_panel_of_its_own() -> None:
    plain = curve("a", 2, 1)
    other = Curve("b", {**plain.metrics, "val_balanced_accuracy": [0.3, 0.4]}, 2)
    assert [ax.get_ylabel() for ax in charts.curves("t", [plain]).axes] == ["loss", "accuracy"]
    assert [ax.get_ylabel() for ax in charts.curves("t", [other]).axes] == ["loss", "accuracy", "balanced accuracy"]


def test_a_dot_marks_the_stopping_epoch() -> None:
    plane = charts.curves("t", [curve("a", 3, 1, 2, stop=2)]).axes[0]
    (dot,) = [line for line in plane.get_lines() if line.get_marker() == "o"]
    assert np.asarray(dot.get_xydata()).tolist() == [[2, 1]]


def test_losses_that_span_decades_are_on_a_log_scale_and_others_not() -> None:
    assert charts.curves("t", [curve("a", 5, 1)]).axes[0].get_yscale() == "linear"
    assert charts.curves("t", [curve("a", 5, 0.01)]).axes[0].get_yscale() == "log"
    assert charts.curves("t", [curve("a", 5, 0.01, -1)]).axes[0].get_yscale() == "linear"
    assert charts.curves("t", [curve("a", 5, 0.01)]).axes[1].get_yscale() == "linear"


def test_a_loss_that_is_not_finite_is_a_gap() -> None:
    figure = drawn(charts.curves("t", [curve("a", 2, float("inf"), float("nan"), 1)]))
    line = next(line for line in figure.axes[0].get_lines() if len(line.get_ydata()) == 4)
    assert np.isnan(line.get_ydata()).tolist() == [False, True, True, False]


def test_a_study_without_accuracies_has_the_panel_of_losses_alone() -> None:
    assert [plane.get_ylabel() for plane in charts.curves("t", [Curve("a", {"val_loss": [1, 2]}, 1)]).axes] == ["loss"]


@pytest.mark.parametrize("n", [1, 8, 25])
def test_the_legend_of_curves_lies_outside_the_panels_and_inside_the_figure(n: int) -> None:
    labels = [f"trial {i}: " + ", ".join(f"hyperparameter_{k}=0.123" for k in range(8)) for i in range(n)]
    figure = drawn(charts.curves("t", [curve(label, 2, 1) for label in labels]))
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert [text.get_text().replace("\n", " ") for text in legend.get_texts()] == labels
    assert not any(box.overlaps(plane.get_tightbbox()) for plane in figure.axes)
    assert min(box.x0, box.y0) >= 0
    assert box.x1 <= figure.bbox.x1
    assert min(plane.get_window_extent().height for plane in figure.axes) > 0.25 * figure.dpi * 10 * 0.8


@pytest.mark.parametrize("n", [3, 10, 30])
def test_each_of_some_lines_has_a_colour_of_its_own(n: int) -> None:
    assert len(set(style.colours(n))) == len(set(style.rainbow(n))) == n


@pytest.mark.parametrize(("n_classes", "n_named"), [(3, 3), (20, 20), (21, 0), (101, 0)])
def test_up_to_20_classes_are_named_and_each_is_told_from_the_others(n_classes: int, n_named: int) -> None:
    labels = np.arange(5 * n_classes) % n_classes
    points = np.random.default_rng(0).normal(size=(len(labels), 2))
    figure = drawn(charts.points("t", points, labels, [f"class {i}" for i in range(n_classes)]))
    assert sum(len(legend.get_texts()) for legend in figure.legends) == n_named
    sets = figure.axes[0].collections
    looks = {(tuple(each.get_facecolor()[0]), len(each.get_paths()[0].vertices)) for each in sets}
    assert len(looks) == n_classes
    assert np.array_equal(sets[1].get_offsets(), points[labels == 1])


def test_samples_are_on_a_scale_of_powers_of_two_with_error_bars_where_there_is_a_spread() -> None:
    lines = [Line("a", [1, 2, 64], [0.1, 0.2, 0.9], [0.05, 0, 0.01]), Line("b", [2], [0.3], [0])]
    figure = drawn(charts.lines("t", lines, x="samples", y="accuracy", legend="mixing"))
    plane = figure.axes[0]
    assert plane.get_xscale() == "log"
    assert [text.get_text() for text in plane.get_xticklabels()] == ["1", "2", "64"]
    assert np.allclose(plane.get_xticks(), [1, 2, 64])
    heights = [np.ptp(segment[:, 1]) for segment in plane.containers[0][2][0].get_segments() if len(segment)]
    assert np.allclose([height for height in heights if np.isfinite(height)], [0.1, 0.02])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


def test_a_pair_shows_validation_and_test_in_a_row_of_its_own() -> None:
    pairs = [Pair("one", ErrorBar(0.9, 0.01), ErrorBar(0.8, 0.02)), Pair("two", ErrorBar(0.7, 0), ErrorBar(0.75, 0))]
    figure = drawn(charts.pairs("t", pairs))
    plane = figure.axes[0]
    assert [text.get_text() for text in plane.get_yticklabels()] == ["one", "two"]
    validation, test = (container[0] for container in plane.containers)
    assert np.allclose(validation.get_xdata(), [0.9, 0.7])
    assert np.allclose(test.get_xdata(), [0.8, 0.75])
    assert np.allclose(validation.get_ydata(), [0, 1], atol=0.2)


def test_each_filter_is_stretched_by_itself() -> None:
    filters = np.array([[[[0.0, 1.0]]], [[[5.0, 7.0]]], [[[3.0, 3.0]]]])
    pixels = shown(pictures.filters("t", filters))
    grey = pixels[(pixels == pixels[..., :1]).all(axis=2)]
    assert set(grey[:, 0]) == {0.0, 1.0}
    assert pixels.shape[2] == 3


@pytest.mark.parametrize(
    ("n", "grid"), [(96, (8, 12)), (64, (8, 8)), (16, (4, 4)), (10, (2, 5)), (17, (4, 5)), (1, (1, 1))]
)
def test_filters_stand_in_a_grid_about_as_wide_as_high(n: int, grid: tuple[int, int]) -> None:
    height, width, _ = shown(pictures.filters("t", np.random.default_rng(0).normal(size=(n, 3, 24, 24)))).shape
    assert (height // 25, width // 25) == grid


def test_of_very_many_filters_the_first_are_shown_and_the_title_says_so() -> None:
    figure = pictures.filters("t", np.zeros((300, 1, 3, 3)))
    assert "the first 256 of 300" in figure.get_suptitle().replace("\n", " ")


def test_maps_show_the_image_and_the_first_16_channels_of_each() -> None:
    maps = [("before", np.random.default_rng(0).normal(size=(20, 5, 5))), ("after", np.zeros((3, 2, 2)))]
    figure = drawn(pictures.maps("t", np.zeros((3, 8, 8)), maps))
    titles = [plane.get_title() for plane in figure.axes if plane.get_title()]
    assert titles == ["the image", "before: 16 of 20 channels", "after: 3 of 3 channels"]
    first = figure.axes[1].get_images()[0]
    assert first.get_clim() == (maps[0][1][:16].min(), maps[0][1][:16].max())


@pytest.mark.parametrize("channels", [1, 3])
def test_a_mistake_shows_its_class_above_and_the_likeliest_below(channels: int) -> None:
    images = np.full((9, channels, 6, 6), 200, dtype=np.uint8)
    top = [[("a_very_long_name_of_a_class", 0.75), ("dog", 0.25)]] * 9
    figure = drawn(pictures.mistakes("t", images, [f"a_class_of_number_{i}" for i in range(9)], top))
    assert [plane.get_title() for plane in figure.axes[:9]] == [f"a_class_of_…mber_{i}" for i in range(9)]
    assert figure.axes[8].get_xlabel() == "a_very_lo…class  0.75\ndog  0.25"
    assert len([plane for plane in figure.axes if plane.axison]) == 9
    boxes = [text.get_window_extent() for plane in figure.axes[:9] for text in (plane.title, plane.xaxis.label)]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


def test_the_same_figure_gives_the_same_file(tmp_path: Path) -> None:
    for suffix in style.SUFFIXES:
        for name in ("one", "two"):
            style.save(charts.curves("t", [curve("a", 2, 1)]), tmp_path / f"{name}{suffix}")
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 6


def test_the_look_does_not_depend_on_the_settings_of_the_machine_and_leaves_them_alone() -> None:
    import matplotlib

    matplotlib.rcParams["axes.facecolor"] = "black"
    with style.style():
        figure = charts.curves("t", [curve("a", 2, 1)])
    assert figure.axes[0].get_facecolor() == figure.get_facecolor() == (1, 1, 1, 1)
    assert matplotlib.rcParams["axes.facecolor"] == "black"

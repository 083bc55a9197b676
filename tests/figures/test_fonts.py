"""Names in any script, and names that matplotlib would read as something else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hpo.figures import charts, fonts, pictures, style
from hpo.figures.charts import Curve, ErrorBar, Line, Pair

NAMES = [
    "$100_$",
    "$1 or $2",
    r"\frac{a}",
    "_hidden",
    "two\nlines",
    "caf\udce9",
    "x" * 300,
    "",
    " ",
    "日本語",
    "\u0000",
]
SHOWN = [
    "$100_$",
    "$1 or $2",
    r"\frac{a}",
    "_hidden",
    "two lines",
    r"caf\xe9",
    "x" * 15 + "…" + "x" * 8,
    "",
    " ",
    "日本語",
    " ",
]
IN_MONO_ALONE = "⌹"
"""A character that DejaVu Sans lacks and DejaVu Sans Mono has. Both come with matplotlib."""
NOWHERE = "\U0001f6d6"
"""A character that no font of matplotlib has, apart from its font of boxes."""


@pytest.fixture(autouse=True)
def _style() -> Iterator[None]:
    with style.style():
        yield


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("suffix", style.SUFFIXES)
def test_names_of_every_kind_stand_in_the_figures_as_they_are(tmp_path: Path, suffix: str) -> None:
    labels = np.arange(44) % len(NAMES)
    points = charts.points("t", np.random.default_rng(0).normal(size=(44, 2)), labels, NAMES)
    assert legend_of(points) == SHOWN
    images = np.zeros((len(NAMES), 3, 4, 4), np.uint8)
    mistakes = pictures.mistakes("t", images, NAMES, [[(name, 0.5)] for name in NAMES])
    assert [ax.get_title() for ax in mistakes.axes][:6] == SHOWN[:6]
    curves = charts.curves("$a_$", [Curve(name, {"val_loss": [1.0]}, 1) for name in NAMES])
    assert legend_of(curves)[:6] == SHOWN[:6]
    lines = charts.lines("t", [Line(name, [1], [0.5], [0]) for name in NAMES], x="x", y="y", legend="$l_$")
    assert legend_of(lines)[:6] == SHOWN[:6]
    pairs = charts.pairs("t", [Pair(name, ErrorBar(0.5, 0), ErrorBar(0.4, 0)) for name in NAMES])
    for figure in (points, mistakes, curves, lines, pairs):
        fonts.choose(figure)
        style.save(figure, tmp_path / f"figure{suffix}")


def test_a_font_is_found_for_each_character_that_the_font_of_the_style_lacks() -> None:
    families, missing = fonts.covering(map(ord, f"a{IN_MONO_ALONE}{NOWHERE}"))
    assert families[0] == fonts.FONT
    assert len(families) >= 2
    assert ord(IN_MONO_ALONE) not in missing
    assert ord("a") not in missing
    assert fonts.covering(map(ord, "Ωç")) == ([fonts.FONT], set())


def test_characters_without_a_font_are_named_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    figure = style.figure(4, 4, f"{NOWHERE} {IN_MONO_ALONE}")
    figure.text(0, 0, f"b{NOWHERE}")
    fonts.choose(figure)
    style.save(figure, tmp_path / "figure.png")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"hpo: no installed font has these characters, so boxes stand for them: {NOWHERE} (")


def test_figures_explain_the_bold_names_and_the_grey_bar() -> None:
    mistakes = pictures.mistakes("t", np.zeros((1, 3, 4, 4), np.uint8), ["a"], [[("b", 0.5)]])
    assert "bold: the true class" in mistakes.get_supxlabel()
    pairs = charts.pairs("t", [Pair("one", ErrorBar(0.9, 0), ErrorBar(0.8, 0))])
    assert legend_of(pairs) == ["validation", "test", "the gap between them"]


@pytest.mark.parametrize("n", [2, 20])
def test_the_legend_of_classes_does_not_overlap_the_title(n: int) -> None:
    labels = np.arange(40) % n
    title = "a_study, trial 12: t-SNE of the features of 2000 training and validation images"
    figure = charts.points(title, np.random.default_rng(0).normal(size=(40, 2)), labels, [f"c{i}" for i in range(n)])
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    (heading,) = [text for text in figure.texts if text.get_text().startswith("a_study")]
    assert figure.legends[0].get_window_extent().y1 < heading.get_window_extent().y0

from __future__ import annotations

import re
from html import unescape

from matplotlib.figure import Figure

from hpo.figures import style
from hpo.report.drawing import svg

NAMES = ("#ffffff", "font: 12px x", "url(#a)", 'id="b" > c', "<!-- d -->", "#000000")


def draw() -> Figure:
    """A figure whose labels look like what stands in attributes."""
    figure = style.figure(5, 3, "")
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1], color="#000000")
    ax.set_xticks([i / 5 for i in range(6)], NAMES)
    return figure


def test_text_that_looks_like_a_colour_or_a_font_is_shown_as_it_is() -> None:
    drawn = str(svg(draw, "#ffffff", "font: 12px x", prefix="s0"))
    texts = [unescape(each) for each in re.findall(r"<text[^>]*>([^<]*)</text>", drawn)]
    assert set(NAMES) <= set(texts)
    assert '<title id="s0-title">#ffffff</title>' in drawn


def test_colours_and_ids_in_attributes_follow_the_page() -> None:
    drawn = str(svg(draw, "", "", prefix="s0"))
    tags = "".join(re.findall(r"<[^>]*>", drawn))
    assert "stroke: var(--ink)" in tags
    assert "#000000" not in tags
    assert all(each.startswith("s0-") for each in re.findall(r'\bid="([^"]*)"', tags))
    assert set(re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', tags)) <= {
        pair for each in re.findall(r'\bid="([^"]*)"', tags) for pair in ((each, ""), ("", each))
    }

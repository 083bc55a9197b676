"""Figures as inline SVG, in the colours of the page, and images as data URIs."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from hpo.figures import fonts, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PIXELS = 96
"""The longest side of an image in the page."""
SCALE = 1.36
"""The pixels of the page for each point of a figure: one of ten inches is as wide as the page."""
QUALITY = 80
"""The quality of a JPEG, up to 100."""
_INK, _GRID = "var(--ink)", "var(--grid)"
VARIABLES = {
    **{colour: f"var(--colour{i})" for i, colour in enumerate(style.COLOURS)},
    **dict.fromkeys(("#000000", "#404040", "#202020", "#262626"), _INK),
    **dict.fromkeys(("#e4e4e4", "#cccccc", "#b0b0b0"), _GRID),
    "#ffffff": "var(--paper)",
}
"""The colours of figures, and the variables of the page's style that take their place."""


def svg(draw: Callable[[], Figure], title: str, description: str, *, prefix: str) -> Markup:
    """Draw a figure as SVG to stand inside an HTML page. Screen readers read its title and description.

    `prefix` begins the ids inside. It must differ from those of the other figures of the page.

    The colours in VARIABLES follow the style of the page. Text stays text.
    """
    with style.style():
        import matplotlib

        matplotlib.rcParams["svg.fonttype"] = "none"
        figure = draw()
        fonts.choose(figure)
        text = io.StringIO()
        with fonts.without_glyph_warnings():
            figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return Markup(_inline(text.getvalue(), title, description, f"{prefix}-"))


def _inline(text: str, title: str, description: str, prefix: str) -> str:
    """The SVG without its prologue, with `prefix` before each id, because ids must differ within a page."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = _TAG.sub(lambda tag: _attributes(tag[0], prefix), text)
    match = re.match(r'<svg [^>]*viewBox="([^"]*)"[^>]*>', text)
    assert match is not None, "matplotlib writes a viewBox"
    names = f'aria-labelledby="{prefix}title" aria-describedby="{prefix}description"'
    width = float(match[1].split()[2]) * SCALE
    head = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" class="chart" '
    head += f'viewBox="{match[1]}" style="max-width: {width:.0f}px" role="img" {names}>'
    labels = f'<title id="{prefix}title">{escape(title)}</title>'
    labels += f'<desc id="{prefix}description">{escape(description)}</desc>'
    return head + labels + text[match.end() :]


_TAG = re.compile(r"<!--.*?-->|<(?:\"[^\"]*\"|'[^']*'|[^\"'>])*>", re.DOTALL)
"""A tag with its attributes, or a comment. What stands between tags is text, such as names that the user has given."""


def _attributes(tag: str, prefix: str) -> str:
    """A tag with `prefix` before its ids, the colours of the page, and fonts without a family. A comment is removed."""
    if tag.startswith("<!--"):
        return ""
    tag = re.sub(r'\bid="([^"]*)"', rf'id="{prefix}\1"', tag)
    tag = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", tag)
    tag = re.sub(r"#[0-9a-f]{6}\b", lambda match: VARIABLES.get(match[0], match[0]), tag)
    return re.sub(r"font: ([0-9.]+)px [^;\"]*", r"font-size: \1px", tag)


def data_uri(image: NDArray[np.uint8]) -> str:
    """An image (channels, height, width) of 0..255 as a small JPEG inside a URI. Tiny ones are enlarged."""
    from PIL import Image

    pixels = image.transpose(1, 2, 0)
    picture = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels[..., :3]))
    scale = PIXELS / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    kind = Image.Resampling.NEAREST if scale > 2 else Image.Resampling.LANCZOS
    content = io.BytesIO()
    picture.resize(size, kind).save(content, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode("ascii")

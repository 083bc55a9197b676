"""The style and colours of all figures, and saving a figure to a file."""

from __future__ import annotations

import math
import os
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo.errors import MachineError
from hpo.figures import fonts
from trainables.errors import encodable

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

Array = NDArray[Any]
SUFFIXES = (".png", ".svg", ".pdf")
"""The file formats of figures."""
COLOURS = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)
"""Colours that can be told apart with any kind of colour vision.

M. A. Petroff, Accessible Color Sequences (2021, arXiv 2107.02270).
"""
STYLE: dict[Any, Any] = {
    "figure.constrained_layout.use": True,
    "figure.dpi": 150,
    "figure.facecolor": "white",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "savefig.dpi": 150,
    "svg.hashsalt": "hpo",
    "text.parse_math": False,  # a dollar sign in the name of a class is no formula
}


@contextmanager
def style() -> Iterator[None]:
    """Draw and save figures in this context: they look the same whatever matplotlib's settings on the machine are."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def figure(width: float, height: float, title: str) -> Figure:
    """Return an empty figure of `width` by `height` inches."""
    from matplotlib.figure import Figure

    empty = Figure(figsize=(width, height))
    empty.suptitle("\n".join(textwrap.wrap(plain(title), int(width * 11))), fontsize=11)
    return empty


def save(figure: Figure, path: Path) -> None:
    """Write a figure atomically, in the format of the suffix of `path`. The same figure always gives the same bytes."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    # A date in the file would change its bytes each time.
    no_date = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix)
    try:
        with fonts.without_glyph_warnings():
            figure.savefig(temporary, format=path.suffix[1:], metadata=no_date)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save_or_raise(figure: Figure, path: Path) -> None:
    """Write a figure as `save` does, into a folder that is made if need be. Raises a MachineError if it cannot be."""
    try:
        path.parent.mkdir(exist_ok=True)
        save(figure, path)
    except OSError as error:
        raise MachineError(f"{path}: cannot be written: {error}") from None


def colours(n: int) -> list[str]:
    """Return `n` colours: those of COLOURS, or more colours from dark to bright if these are too few."""
    return list(COLOURS[:n]) if n <= len(COLOURS) else sample_colormap("viridis", n)


def rainbow(n: int) -> list[str]:
    """Return `n` colours of the rainbow, in an order in which neighbours differ strongly."""
    # A step without a common divisor with n visits each colour once. Near 0.382 n, the golden section, it is far.
    steps = range(max(1, round(n * 0.382)), n + 1)
    step = next(step for step in steps if math.gcd(step, n) == 1)
    return [sample_colormap("turbo", n)[i * step % n] for i in range(n)]


def sample_colormap(name: str, n: int) -> list[str]:
    """Return `n` evenly spaced colours of the matplotlib colormap `name`, without its brightest end."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colour) for colour in colormaps[name](np.linspace(0, 0.92, n))]


def shorten(text: str, n: int) -> str:
    """Shorten a text to one line of at most `n` characters.

    The middle is left out, because names that are alike often differ only at the end.
    """
    text = plain(text)
    n_last = n // 3
    return text if len(text) <= n else text[: n - 1 - n_last] + "…" + text[-n_last:]


def plain(text: str) -> str:
    """Return a text in one line that can be drawn: line breaks are spaces, bytes that are not UTF-8 are escaped."""
    return "".join(
        " " if unicodedata.category(character) in ("Cc", "Zl", "Zp") else character for character in encodable(text)
    )


def legend(figure: Figure, handles: Sequence[Artist], labels: Sequence[str], **options: Any) -> None:
    """Add a legend to a figure. `options` are those of matplotlib.

    matplotlib leaves out labels that begin with an underscore, so the labels are set afterwards.
    """
    drawn = figure.legend(handles, list(map(str, range(len(labels)))), **options)
    for text, label in zip(drawn.get_texts(), labels, strict=True):
        text.set_text(label)

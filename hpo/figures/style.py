"""The look that all figures share: style, colours, and how a figure becomes a file."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[Any]
SUFFIXES = (".png", ".svg", ".pdf")
"""What a figure can be written as."""
COLOURS = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)
"""Told apart with any kind of colour vision: M. A. Petroff, Accessible Color Sequences (2021, arXiv 2107.02270)."""
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
}


@contextmanager
def style() -> Iterator[None]:
    """Draw and save in here: one look, whatever matplotlib is set to on this machine."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def figure(width: float, height: float, title: str) -> Figure:
    """An empty figure of so many inches."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height))
    made.suptitle("\n".join(textwrap.wrap(title, int(width * 11))), fontsize=11)
    return made


def save(figure: Figure, path: Path) -> None:
    """Write a figure as its suffix says, whole or not at all; the same figure gives the same bytes."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix)
    try:
        figure.savefig(temporary, format=path.suffix[1:], metadata=undated)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def colours(n: int) -> list[str]:
    """A colour for each of `n`: told apart as far as that goes, for more of them from dark to bright."""
    return list(COLOURS[:n]) if n <= len(COLOURS) else sampled("viridis", n)


def rainbow(n: int) -> list[str]:
    """Many colours, neighbours far apart."""
    steps = range(max(1, round(n * 0.382)), n + 1)
    step = next(step for step in steps if math.gcd(step, n) == 1)
    return [sampled("turbo", n)[i * step % n] for i in range(n)]


def sampled(name: str, n: int) -> list[str]:
    """`n` colours of a map of matplotlib, evenly; its brightest are left out."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colour) for colour in colormaps[name](np.linspace(0, 0.92, n))]


def short(text: str, n: int) -> str:
    """A text of at most `n` characters."""
    return text if len(text) <= n else text[: n - 1] + "…"

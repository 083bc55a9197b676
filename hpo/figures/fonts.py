"""Fonts for the texts of a figure: installed fonts that have the characters which the font of the style lacks."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trainables.errors import ESCAPES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FONT = "DejaVu Sans"
"""The font of the style. It comes with matplotlib."""
PLACEHOLDER = "Last Resort"
"""The beginning of the name of the font that comes with matplotlib and draws a box for every character."""
N_SHOWN = 12
"""The largest number of characters that the message about missing fonts names."""


def choose(figure: Figure) -> None:
    """Let each character in `figure` that its font lacks be drawn in an installed font that has it.

    Prints one line to stderr if no installed font has some of them: these are drawn as boxes.
    """
    from matplotlib.text import Text

    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    needed = {ord(character) for text in texts for character in text.get_text() if character.isprintable()}
    families, missing = covering(needed)
    if len(families) > 1:
        for text in texts:
            text.set_fontfamily(families)
    if missing:
        characters = " ".join(map(chr, sorted(missing)[:N_SHOWN])) + (" ..." if len(missing) > N_SHOWN else "")
        shown = characters.encode(sys.stderr.encoding or "utf-8", ESCAPES).decode(errors="replace")
        print(
            f"hpo: no installed font has these characters, so boxes stand for them: {shown} "
            "(install one, such as Noto Sans CJK for Chinese, Japanese and Korean)",
            file=sys.stderr,
        )


def covering(needed: Iterable[int]) -> tuple[list[str], set[int]]:
    """Return the families of fonts that together have the characters, and the characters that no font has.

    The first family is FONT. Each further one has the most of the characters that are missing until then.
    """
    from matplotlib import font_manager

    families, missing = [FONT], set(needed) - _characters(font_manager.findfont(FONT))
    if not missing:
        return families, missing
    installed = {
        entry.name: entry.fname
        for entry in sorted(font_manager.fontManager.ttflist, key=lambda entry: (entry.name, entry.fname), reverse=True)
        if entry.style == "normal" and not entry.name.startswith(PLACEHOLDER)
    }
    while missing:
        found = {name: missing & _characters(path) for name, path in installed.items()}
        best = max(sorted(found), key=lambda name: len(found[name]))
        if not found[best]:
            break
        families.append(best)
        missing -= found[best]
    return families, missing


@contextmanager
def without_glyph_warnings() -> Iterator[None]:
    """In this context, matplotlib does not warn of each character without a font: `choose` has named them all."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
        yield


@functools.cache
def _characters(path: str) -> frozenset[int]:
    """The characters that the font in a file has. The set is empty if the file cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()

"""Files that are written whole or not at all: a new content takes the place of the old.

A write goes to a temporary name in the same folder and is then renamed, so a process that is killed at
any moment leaves the old content or the new one.

To rename onto a name that is taken makes file systems such as ext4 write the content to the disk at
once, for the sake of a power cut, and where epochs take milliseconds that is most of their time. So a
file younger than a second is unlinked first. A process killed just then leaves the new content, whole,
under its temporary name, where `recover` finds it. A power cut may cost such a young file; a kill does not.

A path has one writer at a time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

YOUNG_SECONDS = 1.0
"""The age up to which a file is replaced without being forced to the disk."""


def write(path: Path, fill: Callable[[Path], object]) -> None:
    """Let `fill` make a temporary file beside `path`, then give it that name; never leave half a file behind."""
    temporary = _temporary(path)
    try:
        fill(temporary)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if _is_young(path):
        path.unlink()
    os.replace(temporary, path)


def recover(path: Path) -> None:
    """Give `path` the content that a killed process was about to; delete it if the old one is still there."""
    temporary = _temporary(path)
    if path.exists():
        temporary.unlink(missing_ok=True)
    elif temporary.exists():
        os.replace(temporary, path)


def remove(path: Path) -> None:
    """Delete `path`, and what a killed process was about to put there; no error if there is nothing."""
    path.unlink(missing_ok=True)
    _temporary(path).unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


def _is_young(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < YOUNG_SECONDS
    except FileNotFoundError:
        return False

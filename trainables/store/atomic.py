"""Atomic file writes: after a crash, a file has either its old content or its new content, never half of one.

The content is written to a temporary file in the same folder, which is then renamed.

If a rename replaces a file, file systems such as ext4 write the new content to the disk at once, to survive a power
failure. If an epoch takes milliseconds, these writes take most of its time. So a file that is less than a second old is
deleted before the rename. If the process is killed between the two, the complete new content is still in the temporary
file, and `recover` restores it. Only a power failure can lose such a file.

A path must have only one writer at a time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

YOUNG_SECONDS = 1.0
"""A file younger than this is deleted before it is replaced, so that the new content is not forced to the disk."""

WAIT_SECONDS = 1.0
"""The longest time that a reader waits for a writer."""


def write(path: Path, fill: Callable[[Path], object]) -> None:
    """Write `path` atomically. `fill` is called with the path of a temporary file and writes the content to it.

    If `fill` raises, the temporary file is deleted, `path` is not changed, and the error is passed on.
    """
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
    """Complete a write of `path` that was interrupted by a kill.

    If `path` does not exist, the temporary file is renamed to it. Otherwise the temporary file is deleted, because it
    may be incomplete.
    """
    temporary = _temporary(path)
    if path.exists():
        temporary.unlink(missing_ok=True)
    elif temporary.exists():
        os.replace(temporary, path)


def wait_for_writer(path: Path) -> None:
    """Wait until a write of `path` that goes on has replaced it: for a moment in between, `path` does not exist.

    Returns after WAIT_SECONDS at the latest, because the writer may have been killed in that moment.
    """
    end = time.monotonic() + WAIT_SECONDS
    while not path.exists() and _temporary(path).exists() and time.monotonic() < end:
        time.sleep(0.01)


def remove(path: Path) -> None:
    """Delete `path`, and the temporary file of an interrupted write. No error if they do not exist."""
    path.unlink(missing_ok=True)
    _temporary(path).unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


def _is_young(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < YOUNG_SECONDS
    except FileNotFoundError:
        return False

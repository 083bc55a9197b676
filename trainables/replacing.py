"""Files that are written whole or not at all (ground floor of training): a new content takes the place of the old.

A write goes to a temporary name in the same folder and is then renamed, so a process that is killed at
any moment leaves the old content or the new one.

To rename onto a name that is taken makes file systems such as ext4 write the content to the disk at
once, for the sake of a power cut, and where epochs take milliseconds that is most of their time. So a
file younger than a second is first set aside under a name of its own. For the moment until the new one
has its name, `newest` finds the old one there. A power cut may cost such a young file; a kill does not.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

YOUNG_SECONDS = 1.0
"""The age up to which a file is replaced without being forced to the disk."""


def replace(path: Path, fill: Callable[[str], object]) -> None:
    """Let `fill` make a temporary file beside `path`, then give it that name; never leave it behind."""
    temporary, aside = f"{path.parent}/.{path.name}.{os.getpid()}.tmp", _aside(path)
    try:
        fill(temporary)
        young = _is_young(path)
        if young:
            os.replace(path, aside)
        os.replace(temporary, path)
    except BaseException:
        _unlink(temporary)
        raise
    if young:
        _unlink(aside)


def newest(path: Path) -> Path:
    """Where the content of `path` lies: there, or aside if the process was killed as it replaced it."""
    aside = Path(_aside(path))
    return aside if not path.exists() and aside.exists() else path


def remove(path: Path) -> None:
    """Delete the content of `path`, wherever it lies; no error if there is none."""
    _unlink(path)
    _unlink(_aside(path))


def _aside(path: Path) -> str:
    return f"{path.parent}/.{path.name}.old"


def _is_young(path: Path) -> bool:
    try:
        return time.time() - os.stat(path).st_mtime < YOUNG_SECONDS
    except FileNotFoundError:
        return False


def _unlink(path: Path | str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)

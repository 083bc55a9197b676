"""Atomic folder writes: after a crash, a folder is the old one or the new one, never half of one.

The new folder is filled beside its place and then renamed. A folder cannot be renamed over one with files. So an older
one is renamed first, and for a moment there is none. If the process is killed in that moment, `recover` completes the
write.

The names of temporary folders hold the number of the process, so those of a running process are left alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

_in_use: set[Path] = set()
"""The temporary folders that this process writes now."""


def write(folder: Path, fill: Callable[[Path], object]) -> None:
    """Write `folder` atomically. `fill` is called with a new, empty folder and writes the files to it.

    An older folder is deleted, and so is what interrupted writes left. `folder` should not be the current folder: that
    would become a deleted one. If `fill` raises, `folder` is not changed, and the error is passed on. Raises OSError if
    the folder cannot be written.
    """
    folder = folder.resolve()
    recover(folder)
    for left in _left_behind(folder):
        shutil.rmtree(left, ignore_errors=True)
        shutil.rmtree(_old(left), ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    temporary.mkdir()
    _in_use.add(temporary)
    try:
        fill(temporary)
        _replace(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    finally:
        _in_use.discard(temporary)


def recover(folder: Path) -> None:
    """Complete a write of `folder` that was killed between its renames, if there is no such folder.

    Nothing is changed if the folder around it cannot be written.
    """
    # A path can have a loop of links, or a character that no path may have. Whoever uses it next gives the error.
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        folder = folder.resolve()
        if folder.exists():
            return
        for temporary in _left_behind(folder):
            if (old := _old(temporary)).exists():
                (temporary if temporary.exists() else old).rename(folder)
                shutil.rmtree(old, ignore_errors=True)
                return


def _replace(temporary: Path, folder: Path) -> None:
    old = _old(temporary)
    if folder.is_dir():
        folder.rename(old)
    try:
        temporary.rename(folder)
    except OSError:
        if old.is_dir():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _old(temporary: Path) -> Path:
    """The name of the older folder while the new one is renamed."""
    return temporary.with_name(f"{temporary.name}.old")


def _left_behind(folder: Path) -> list[Path]:
    """The temporary folders of processes that do not run any more. Some may exist only under their `_old` name."""
    pattern = re.compile(rf"(\.{re.escape(folder.name)}\.(\d+)\.tmp)(\.old)?")
    if not folder.parent.is_dir():
        return []
    found: dict[Path, int] = {}
    for path in sorted(folder.parent.iterdir()):
        if match := pattern.fullmatch(path.name):
            found[folder.with_name(match[1])] = int(match[2])
    # In a container, a new process often has the number of the one that was killed.
    return [path for path, process in found.items() if path not in _in_use and not _is_running(process)]


def _is_running(process: int) -> bool:
    """Whether another process with this number runs."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it belongs to another user
        return True
    return True

"""The lock of a study's folder: one process at a time searches or tests a study."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from hpo.errors import MachineError, StudyError
from hpo.record.files import STUDY_FILE, command

LOCK_FILE = "lock"


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a study's folder against every other process; make the folder where it is missing.

    A killed process lets go of the lock. A StudyError where another process holds it, a MachineError where the folder
    cannot be made or written.
    """
    fresh = [path for path in (folder, folder.parent) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = FileLock(folder / LOCK_FILE, timeout=0)
        held.acquire()
        for left_behind in folder.glob(".*.tmp"):
            left_behind.unlink()
    except Timeout:
        raise locked(folder) from None
    except OSError as error:
        raise MachineError(f"{folder}: the study's folder cannot be made or written: {error}") from None
    try:
        yield
    finally:
        held.release()
        if fresh and not (folder / STUDY_FILE).exists():
            with contextlib.suppress(OSError):  # what is not empty stays
                (folder / LOCK_FILE).unlink(missing_ok=True)
                for path in fresh:
                    path.rmdir()


def locked(folder: Path) -> StudyError:
    """The error for a study that another process holds."""
    return StudyError(
        f"study {folder.name!r} is being searched or tested by another process; "
        f"`{command('status', folder)}` shows how far it is"
    )


def is_locked(folder: Path) -> bool:
    """Whether a process holds the study."""
    if not (folder / LOCK_FILE).exists():
        return False
    held = FileLock(folder / LOCK_FILE, timeout=0)
    try:
        held.acquire()
    except Timeout:
        return True
    held.release()
    return False

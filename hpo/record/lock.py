"""The lock of a study's folder, so that only one process at a time searches or tests a study."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from hpo.errors import MachineError, StudyError
from hpo.record.files import STUDY_FILE, command

LOCK_FILE = "lock"
WAIT_SECONDS = 0.5
"""How long `lock` waits. Meanwhile, another process may look by `is_locked`, which takes the lock for a moment."""


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a study's folder. A process that is killed releases the lock.

    The folder is created if it does not exist, and deleted at the end if no study was written into it. Temporary files
    of killed processes are deleted. Raises a StudyError if another process holds the lock, and a MachineError if the
    folder cannot be created or written.
    """
    created = [path for path in (folder, folder.parent) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file_lock = FileLock(folder / LOCK_FILE, timeout=WAIT_SECONDS)
        file_lock.acquire(poll_interval=0.02)
        for temporary in folder.glob(".*.tmp"):
            temporary.unlink()
    except Timeout:
        raise locked_error(folder) from None
    except OSError as error:
        raise MachineError(f"{folder}: the study's folder cannot be made or written: {error}") from None
    try:
        yield
    finally:
        file_lock.release()
        if created and not (folder / STUDY_FILE).exists():
            with contextlib.suppress(OSError):  # a folder that is not empty stays
                (folder / LOCK_FILE).unlink(missing_ok=True)
                for path in created:
                    path.rmdir()


def locked_error(folder: Path) -> StudyError:
    """Return the error for a study whose lock another process holds."""
    return StudyError(
        f"study {folder.name!r} is being searched or tested by another process; "
        f"`{command('status', folder)}` shows how far it is"
    )


def is_locked(folder: Path) -> bool:
    """Whether a process holds the lock of the study. The folder is only read, so it may be read-only."""
    if not (folder / LOCK_FILE).exists():
        return False
    if sys.platform != "win32":
        return _is_locked_on_unix(folder / LOCK_FILE)
    file_lock = FileLock(folder / LOCK_FILE, timeout=0)
    try:
        file_lock.acquire()
    except Timeout:
        return True
    file_lock.release()
    return False


def _is_locked_on_unix(path: Path) -> bool:
    """Whether a process holds the FileLock at `path`. FileLock itself would open the file for writing."""
    import fcntl

    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # the file may not be read, or its file system has no locks
        return False
    return False

"""The lock of a tracker: one process at a time sends the trials of a study to a tool, so no point is sent twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from hpo.errors import MachineError, StudyError

FOLDER = "trackers"
"""The folder of the locks, in that of the study."""


@contextmanager
def tracker_lock(folder: Path, kind: str, seconds: float) -> Iterator[None]:
    """Hold the lock of a tracker of the study in `folder`. A process that is killed releases it.

    `seconds` is how long another process that holds it is waited for. Raises a StudyError if it still holds it then,
    and a MachineError if the lock cannot be made, as in a folder that is read-only.
    """
    path = folder / FOLDER / f"{kind}.lock"
    lock = FileLock(path, timeout=seconds)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(poll_interval=0.05)
    except Timeout:
        raise StudyError(
            f"tracker {kind}: another process is sending the trials of study {folder.name!r} to it; try again when it "
            "has ended"
        ) from None
    except OSError as error:
        raise MachineError(f"tracker {kind}: {path} cannot be made: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()

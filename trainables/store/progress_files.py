"""Progress of a long computation, as a file that other processes read.

The file names the process that computes, and its parent. A process that waits for the computation of another one says
so in a file beside it. So a search can tell its own computations, and those that it waits for, from all others.

Nothing here needs torch.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

REPORT_SECONDS = 0.5
"""The least time between two writes of a progress file."""
STALLED_SECONDS = 20
"""After this time without a write, the remaining time is unknown: the computation is in a long step, or was killed."""
STALE_SECONDS = 600
"""After this time without a write, the file is ignored: it is left from a process that was killed."""


SEARCH_PROCESS = "HPO_SEARCH_PROCESS"
"""The environment variable that names the process that searches, if this process is a worker of it but no child."""

OLD_SECONDS = 24 * 3600
"""The note of a waiting process that is older than this was left by a process that was killed."""


class ProgressFile:
    """The progress file of a computation. Call the object with the share that is done."""

    def __init__(self, path: Path, words: str) -> None:
        """The name of `path` ends in .progress. `words` describes the computation."""
        self._path, self._words = path, words
        self._begun, self._written = time.time(), -math.inf

    def __call__(self, done: float) -> None:
        """Record the share that is done, 0 to 1. Writes the file at most every REPORT_SECONDS.

        If the disk is full, the file is not written, because the computation does not depend on it.
        """
        if time.monotonic() - self._written >= REPORT_SECONDS:
            self._written = time.monotonic()
            content = {"words": self._words, "done": done, "begun": self._begun, "processes": _this_and_parent()}
            with contextlib.suppress(OSError):
                self._path.write_text(json.dumps(content))

    def end(self) -> None:
        """Delete the file, because the computation has ended."""
        self._path.unlink(missing_ok=True)


class RunningComputation(NamedTuple):
    """A computation that is running."""

    words: str
    """A description of what is computed."""
    done: float
    """The share that is done, 0 to 1."""
    left: float | None
    """The estimated remaining seconds. None if nothing is done yet, or if the computation has stalled."""


@contextlib.contextmanager
def waiting(path: Path) -> Iterator[None]:
    """In this context, a file says that this process waits for the computation with the progress file `path`."""
    note = path.with_suffix(f".{platform.node()}-{os.getpid()}.waiting")
    with contextlib.suppress(OSError):  # without the note, only the display lacks a line
        note.write_text(json.dumps({"processes": _this_and_parent()}))
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def remove_old_notes(folder: Path) -> None:
    """Delete the notes of waiting processes that were killed."""
    for note in folder.glob("*.waiting"):
        with contextlib.suppress(OSError):
            if time.time() - note.stat().st_mtime > OLD_SECONDS:
                note.unlink()


def running(folder: Path, process: int | None = None) -> list[RunningComputation]:
    """Return the computations whose progress files are in a folder, sorted by file name.

    If the number of a process on this machine is given, return only those that the process or a child of it computes or
    waits for.
    """
    computations = []
    for path in sorted(folder.glob("*.progress")):
        progress = read_json(path)
        if process is not None and not _concerns(path, progress, _name(process)):
            continue
        with contextlib.suppress(OSError):
            if "begun" in progress and (since_write := time.time() - path.stat().st_mtime) < STALE_SECONDS:
                done, elapsed = float(progress["done"]), path.stat().st_mtime - float(progress["begun"])
                is_known = done > 0 and since_write < STALLED_SECONDS
                left = max(0.0, elapsed * (1 / done - 1) - since_write) if is_known else None
                computations.append(RunningComputation(str(progress["words"]), done, left))
    return computations


def _concerns(path: Path, progress: dict[str, Any], process: str) -> bool:
    """Whether a process or a child of it computes, or waits for, the computation of a progress file."""
    notes = map(read_json, path.parent.glob(f"{path.stem}.*.waiting"))
    return any(process in each.get("processes", ()) for each in (progress, *notes))


def name_of_this_process() -> str:
    """The name of this process in progress files, and in the variable `SEARCH_PROCESS`."""
    return _name(os.getpid())


def _this_and_parent() -> list[str]:
    return [_name(os.getpid()), _name(os.getppid()), *filter(None, [os.environ.get(SEARCH_PROCESS)])]


def _name(process: int) -> str:
    """The name of a process of this machine: machines may share the folder."""
    return f"{platform.node()}-{process}"


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, or an empty dictionary if the file is missing or holds no object."""
    with contextlib.suppress(OSError, ValueError):
        content = json.loads(path.read_text())
        if isinstance(content, dict):
            return content
    return {}

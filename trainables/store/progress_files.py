"""Progress of a long computation, as a file that other processes read.

Nothing here needs torch.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from pathlib import Path
from typing import Any, NamedTuple

REPORT_SECONDS = 0.5
"""The least time between two writes of a progress file."""
STALLED_SECONDS = 20
"""After this time without a write, the remaining time is unknown: the computation is in a long step, or was killed."""
STALE_SECONDS = 600
"""After this time without a write, the file is ignored: it is left from a process that was killed."""


class ProgressFile:
    """The progress file of a computation. Call the object with the share that is done."""

    def __init__(self, path: Path, words: str) -> None:
        """The name of `path` ends in .progress. `words` describes the computation."""
        self._path, self._words = path, words
        self._begun, self._written = time.time(), -math.inf

    def __call__(self, done: float) -> None:
        """Record the share that is done, 0 to 1. Writes the file at most every REPORT_SECONDS."""
        if time.monotonic() - self._written >= REPORT_SECONDS:
            self._written = time.monotonic()
            self._path.write_text(json.dumps({"words": self._words, "done": done, "begun": self._begun}))

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


def running(folder: Path) -> list[RunningComputation]:
    """Return the computations whose progress files are in a folder, sorted by file name."""
    computations = []
    for path in sorted(folder.glob("*.progress")):
        progress = read_json(path)
        with contextlib.suppress(OSError):
            if "begun" in progress and (since_write := time.time() - path.stat().st_mtime) < STALE_SECONDS:
                done, elapsed = float(progress["done"]), path.stat().st_mtime - float(progress["begun"])
                is_known = done > 0 and since_write < STALLED_SECONDS
                left = max(0.0, elapsed * (1 / done - 1) - since_write) if is_known else None
                computations.append(RunningComputation(str(progress["words"]), done, left))
    return computations


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, or an empty dictionary if the file is missing or holds no object."""
    with contextlib.suppress(OSError, ValueError):
        content = json.loads(path.read_text())
        if isinstance(content, dict):
            return content
    return {}

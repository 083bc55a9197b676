"""What is computed for the store at the moment: written down by who computes, for who looks.

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
"""So often at most it is written down."""
SILENT_SECONDS = 20
"""Who says nothing for longer is at a long step, or was killed: when it ends, nobody knows."""
FORGOTTEN_SECONDS = 600
"""A killed process leaves its file; nothing that lives says nothing for so long."""


class ProgressFile:
    """Writes down how far a computation is."""

    def __init__(self, path: Path, words: str) -> None:
        """`path` ends in .progress; `words` say what is computed."""
        self._path, self._words = path, words
        self._begun, self._written = time.time(), -math.inf

    def __call__(self, done: float) -> None:
        """Take note of the share that is done, 0 to 1."""
        if time.monotonic() - self._written >= REPORT_SECONDS:
            self._written = time.monotonic()
            self._path.write_text(json.dumps({"words": self._words, "done": done, "begun": self._begun}))

    def end(self) -> None:
        """Forget it."""
        self._path.unlink(missing_ok=True)


class RunningComputation(NamedTuple):
    """A computation under way."""

    words: str
    done: float
    """The share, 0 to 1."""
    left: float | None
    """Seconds until it ends, at its pace so far; None while nothing is done, or where it says nothing any more."""


def running(folder: Path) -> list[RunningComputation]:
    """What is under way in a folder."""
    listed = []
    for path in sorted(folder.glob("*.progress")):
        about = read_json(path)
        with contextlib.suppress(OSError):
            if "begun" in about and (silent := time.time() - path.stat().st_mtime) < FORGOTTEN_SECONDS:
                done, taken = float(about["done"]), path.stat().st_mtime - float(about["begun"])
                left = max(0.0, taken * (1 / done - 1) - silent) if done > 0 and silent < SILENT_SECONDS else None
                listed.append(RunningComputation(str(about["words"]), done, left))
    return listed


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where there is none."""
    with contextlib.suppress(OSError, ValueError):
        content = json.loads(path.read_text())
        if isinstance(content, dict):
            return content
    return {}

"""A tracker of the tests: it writes a line for each update, and fails or hangs where a file says so."""

from __future__ import annotations

import time
from pathlib import Path

from hpo.trackers import TrackedStudy, TrackedTrial


def build(study: TrackedStudy, where: str | None) -> FileTracker:
    """Build the tracker. `where` is a folder. A file `fail` or `hang` in it says what happens at the next update.

    While it hangs there is a file `hangs`.
    """
    assert where is not None
    return FileTracker(Path(where))


class FileTracker:
    """Appends the number, the last epoch and the state of each trial to the file `lines`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def update(self, trial: TrackedTrial) -> None:
        print("what a library prints is no answer")
        if (self._folder / "fail").exists():
            raise OSError(28, "no space left on the disk of the tracker")
        while (self._folder / "hang").exists():
            (self._folder / "hangs").touch()
            time.sleep(0.05)
        self._write(f"{trial.number} {len(trial.reports)} {trial.state}")

    def close(self) -> None:
        self._write("closed")

    def _write(self, line: str) -> None:
        with (self._folder / "lines").open("a") as file:
            file.write(line + "\n")

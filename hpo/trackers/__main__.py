"""The process of a tracker beside a search. It reads pickled objects from stdin: see `hpo.trackers._follower`.

Its stdout has nothing or one line: why the tracker failed. It ends when stdin does. It holds the lock of the tracker.
"""

from __future__ import annotations

import os
import pickle
import sys
from typing import IO

from hpo.trackers._lock import tracker_lock
from hpo.trackers._sending import one_line
from hpo.trackers._target import Target
from hpo.trackers._tracker import TrackedStudy, Tracker

WAIT_SECONDS = 600.0
"""How long another process is waited for that sends the trials of the study, such as one that a killed search left."""


def main(stdin: IO[bytes], stdout: int) -> int:
    """Build the tracker, and update it with each trial that comes. Returns the exit status."""
    sys.path[:0] = [entry for entry in pickle.load(stdin) if entry not in sys.path]
    target: Target = pickle.load(stdin)
    study: TrackedStudy = pickle.load(stdin)
    try:
        with tracker_lock(study.folder, target.kind, WAIT_SECONDS):
            _send(target.build(study), stdin)
    except Exception as error:
        os.write(stdout, (one_line(error) + "\n").encode(errors="replace"))
        return 1
    return 0


def _send(tracker: Tracker, stdin: IO[bytes]) -> None:
    """Update a tracker with each trial that comes, until stdin ends, and close it."""
    try:
        while True:
            try:
                trial = pickle.load(stdin)
            except EOFError:
                break
            tracker.update(trial)
    finally:
        tracker.close()


if __name__ == "__main__":
    answers = os.dup(sys.stdout.fileno())
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what libraries print is no answer
    sys.exit(main(sys.stdin.buffer, answers))

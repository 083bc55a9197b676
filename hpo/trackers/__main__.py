"""The process of a tracker beside a search. It reads pickled objects from stdin: see `hpo.trackers._follower`.

Its stdout has nothing or one line: why the tracker failed. It ends when stdin does.
"""

from __future__ import annotations

import os
import pickle
import sys
from typing import IO

from hpo.trackers._sending import one_line
from hpo.trackers._target import Target
from hpo.trackers._tracker import TrackedStudy


def main(stdin: IO[bytes], stdout: int) -> int:
    """Build the tracker, and update it with each trial that comes. Returns the exit status."""
    sys.path[:0] = [entry for entry in pickle.load(stdin) if entry not in sys.path]
    target: Target = pickle.load(stdin)
    study: TrackedStudy = pickle.load(stdin)
    try:
        tracker = target.build(study)
        try:
            while True:
                try:
                    trial = pickle.load(stdin)
                except EOFError:
                    break
                tracker.update(trial)
        finally:
            tracker.close()
    except Exception as error:
        os.write(stdout, (one_line(error) + "\n").encode(errors="replace"))
        return 1
    return 0


if __name__ == "__main__":
    answers = os.dup(sys.stdout.fileno())
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what libraries print is no answer
    sys.exit(main(sys.stdin.buffer, answers))

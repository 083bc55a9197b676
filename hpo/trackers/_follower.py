"""A Follower: a tracker that follows a search, in a process of its own, without ever holding the search up.

The search leaves the newest version of each trial here and goes on. A thread sends them to the process. If the tool is
slow, versions in between are left out, so no more than one version of each trial waits. A process can neither draw from
the random numbers of a training nor end the search with it, and one that hangs can be killed.
"""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable

from hpo.trackers._sending import one_line
from hpo.trackers._target import Target
from hpo.trackers._tracker import TrackedStudy, TrackedTrial


class Follower:
    """Sends the trials of a search to a tracker. After the first failure it does nothing any more."""

    def __init__(self, target: Target, study: TrackedStudy, again: str, notify: Callable[[str], None] | None) -> None:
        """`again` is the command that sends later what is missing. `notify` is called once if the tracker fails."""
        self._target = target
        self._study = study
        self._again = again
        self._notify = notify
        self._waiting: dict[int, TrackedTrial] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._problem: str | None = None
        self._told = False
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._send_all, name=f"tracker {target.kind}", daemon=True)
        self._thread.start()

    def follow(self, trial: TrackedTrial) -> None:
        """Take the newest version of a trial, and return at once."""
        if self._problem is not None:
            self._tell()
            return
        with self._changed:
            self._waiting[trial.number] = trial
            self._changed.notify()

    def close(self, seconds: float) -> None:
        """Wait for at most `seconds` until all is sent, and end the process."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._problem = f"it has not taken all within {seconds:g} seconds"
            if self._process is not None:
                self._process.kill()
            self._thread.join(seconds)
        self._tell()

    def _tell(self) -> None:
        """Say once why the tracker failed. This is done in the thread of the search, which shows the progress."""
        if self._problem is None or self._told:
            return
        self._told = True
        if self._notify is not None:
            self._notify(
                f"tracker {self._target.kind}: {self._problem}; the search does not need it, "
                f"and `{self._again}` sends what is missing"
            )

    # In the thread --------------------------------------------------------------------------------

    def _send_all(self) -> None:
        """Start the process, and send what waits until the search ends or the process does."""
        try:
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", "hpo.trackers"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C in the terminal is not for it
            )
        except OSError as error:
            self._problem = one_line(error)
            return
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            # What the process cannot take is explained by what it answers.
            with contextlib.suppress(OSError):
                for header in (sys.path, self._target, self._study):
                    pickle.dump(header, process.stdin)
                while (trials := self._take()) is not None:
                    for trial in trials:
                        pickle.dump(trial, process.stdin)
                    process.stdin.flush()
            with contextlib.suppress(OSError):
                process.stdin.close()
            answer = process.stdout.read().decode(errors="replace").strip()
        if process.returncode != 0 and self._problem is None:
            self._problem = answer or f"its process ended with status {process.returncode}"

    def _take(self) -> list[TrackedTrial] | None:
        """Wait for trials, and take them. None if the search has ended and none waits."""
        with self._changed:
            while not self._waiting:
                if self._closing:
                    return None
                self._changed.wait()
            trials, self._waiting = list(self._waiting.values()), {}
            return trials

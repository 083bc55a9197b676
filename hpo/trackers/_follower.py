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

SECONDS_TO_END = 1.0
"""How long the end of a process that was killed is waited for."""


class Follower:
    """Sends the trials of a search to a tracker. After the first failure it does nothing any more."""

    def __init__(self, target: Target, study: TrackedStudy, hint: str, notify: Callable[[str], None] | None) -> None:
        """`hint` says what the user can do if the tracker fails. Then `notify` is called once."""
        self._target = target
        self._study = study
        self._hint = hint
        self._notify = notify
        self._waiting: dict[int, TrackedTrial] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._problem: str | None = None
        self._told = False
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name=f"tracker {target.kind}", daemon=True)
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
            self._thread.join(SECONDS_TO_END)
        self._tell()

    def _tell(self) -> None:
        """Say once why the tracker failed. This is done in the thread of the search, which shows the progress."""
        if self._problem is None or self._told:
            return
        self._told = True
        if self._notify is not None:
            self._notify(f"tracker {self._target.kind}: {self._problem}; {self._hint}")

    # In the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        """Send what waits until the search ends. Any error ends the tracker, and is named."""
        try:
            self._send_all()
        except Exception as error:
            self._problem = self._problem or one_line(error)

    def _send_all(self) -> None:
        """Start the process with the first trials, and send what waits until the search ends or the process does."""
        trials = self._take()
        if trials is None:
            return
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "hpo.trackers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C in the terminal is not for it
        )
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            # What the process cannot take is explained by what it answers.
            with contextlib.suppress(OSError):
                for header in (sys.path, self._target, self._study):
                    pickle.dump(header, process.stdin)
                while trials is not None and self._problem is None:
                    for trial in trials:
                        pickle.dump(trial, process.stdin)
                    process.stdin.flush()
                    trials = self._take()
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

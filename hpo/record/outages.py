"""Waiting for a database that does not answer, such as one whose server restarts, instead of ending the search."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from hpo.errors import MachineError
from hpo.quantities import duration
from hpo.record.database_errors import is_outage, one_line

LIMIT_SECONDS = 3600.0
"""The longest time to wait. Then the search ends, and can be resumed."""
FIRST_PAUSE = 0.5
"""The seconds between the first attempts."""
GROWTH = 1.5
"""How many times longer each pause is than the one before."""
LONGEST_PAUSE = 30.0
"""The longest pause between two attempts, in seconds."""
T = TypeVar("T")


class Outages:
    """Repeats operations on a database that does not answer, once `tolerate` was called."""

    def __init__(self) -> None:
        self._tolerates = False
        self._notify: Callable[[str], None] = lambda _: None
        self._deadline: float | None = None
        self.is_waiting = False
        """Whether the database does not answer now, and is waited for."""

    def tolerate(self, notify: Callable[[str], None] | None = None, seconds: float | None = None) -> None:
        """Wait for the database from now on, instead of raising an error.

        `notify` is called with a line when the waiting begins and when it ends. No waiting goes on for more than
        `seconds` from now, the time that is left of the search's budget. None is no limit.
        """
        self._tolerates = True
        self._notify = notify or self._notify
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def run(self, operation: Callable[[], T], again: Callable[[], T] | None = None) -> T:
        """Run an operation, and repeat it while the database does not answer.

        It is unknown whether an attempt that failed took effect. So the operation must have the same effect if it is
        run twice. If it has not, `again` is run instead of it after the first attempt.

        The first repetition follows at once and without a word, because a connection may have been cut by a server that
        has already restarted. Raises a MachineError if the time to wait is over, and the error of the operation if it
        is of another kind.
        """
        error: Exception
        try:
            return operation()
        except Exception as raised:
            if not self._tolerates or not is_outage(raised):
                raise
            error = raised
        self.is_waiting = True
        try:
            return self._repeat(again or operation, error)
        finally:
            self.is_waiting = False

    def _repeat(self, operation: Callable[[], T], error: Exception) -> T:
        """Repeat an operation, whose last attempt ended with `error`, until the database answers."""
        begun, pause, announced = time.monotonic(), 0.0, False
        while True:
            time.sleep(pause)
            try:
                result = operation()
            except Exception as raised:
                if not is_outage(raised):
                    raise
                error = raised
            else:
                if announced:
                    self._notify(
                        f"the record answers again after {duration(time.monotonic() - begun)}; the search goes on"
                    )
                return result
            pause = min(GROWTH * pause, LONGEST_PAUSE) or FIRST_PAUSE
            left = self._seconds_left(begun)
            if left <= 0:
                raise MachineError(self._ended(begun, error)) from error
            if not announced:
                announced = True
                self._notify(
                    f"the record does not answer: {one_line(error)}; the search waits for it, for at most "
                    f"{duration(left)} (Ctrl-C ends the search, which can be resumed)"
                )
            pause = min(pause, left)

    def _seconds_left(self, begun: float) -> float:
        """The time that the waiting which began at `begun` may still take, in seconds."""
        ends = begun + LIMIT_SECONDS
        return (ends if self._deadline is None else min(ends, self._deadline)) - time.monotonic()

    def _ended(self, begun: float, error: Exception) -> str:
        waited = duration(time.monotonic() - begun)
        is_over = self._deadline is not None and time.monotonic() >= self._deadline
        reason = ", and the budget of time is spent" if is_over else ""
        return (
            f"the record did not answer for {waited}{reason}: {one_line(error)}; when it answers again, the study can "
            "be resumed"
        )

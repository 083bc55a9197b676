"""Interrupts Python code that runs too long in the main thread."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType

REPEAT_SECONDS = 1.0
"""The error is raised again after this time, in case the code has caught it."""
CHECK_SECONDS = 0.5
"""How often `unless` is called."""


@dataclass
class _Alarm:
    """Raises `error` after so many seconds, of which those do not count while `unless` is true."""

    seconds: float
    error: type[BaseException]
    unless: Callable[[], bool] | None
    since: float = field(default_factory=time.monotonic)
    is_over: bool = False
    """Whether the error was raised."""

    def check(self) -> None:
        """Raise the error if its time has come."""
        if self.unless is not None and self.unless():
            self.since = time.monotonic()
        if time.monotonic() - self.since >= self.seconds:
            self.is_over = True
            raise self.error

    def wait(self) -> float:
        """The seconds until the next check."""
        if self.is_over:
            return REPEAT_SECONDS
        left = self.since + self.seconds - time.monotonic()
        return max(1e-3, left if self.unless is None else min(left, CHECK_SECONDS))


_alarms: list[_Alarm] = []
"""The alarms that are set, the outermost first. They share the one timer that a process has."""


@contextlib.contextmanager
def interrupted_after(
    seconds: float | None, error: type[BaseException], *, unless: Callable[[], bool] | None = None
) -> Iterator[None]:
    """Raise `error` inside the `with` block when so many seconds have passed. None is no limit.

    The time while `unless` is true does not count: afterwards, the seconds are counted from the beginning. Several
    alarms may be nested. The one whose time comes first interrupts, and of two at once the outer one.

    It uses the alarm signal. So it does nothing outside the main thread and on Windows, and cannot interrupt C code
    before it returns. If other code has set an earlier alarm already, that alarm is kept instead.
    """
    is_possible = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if seconds is None or not math.isfinite(seconds) or not is_possible:
        yield
        return
    with _timer(seconds) as is_taken:
        if not is_taken:
            yield
            return
        alarm = _Alarm(seconds, error, unless)
        _alarms.append(alarm)
        try:
            _set_timer()
            yield
        finally:
            _alarms.remove(alarm)
            _set_timer()


@contextlib.contextmanager
def _timer(seconds: float) -> Iterator[bool]:
    """Take the timer of this process, unless other code has set it to end within so many seconds.

    Returns whether the alarms have the timer. At the end of the outermost block, other code has its alarm back.
    """
    before, started = signal.getitimer(signal.ITIMER_REAL)[0], time.monotonic()
    if _alarms or 0 < before <= seconds:
        yield bool(_alarms)
        return
    handler = signal.signal(signal.SIGALRM, _check)
    try:
        yield True
    finally:
        _alarms.clear()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if before:
            signal.setitimer(signal.ITIMER_REAL, max(before - (time.monotonic() - started), 1e-3), REPEAT_SECONDS)


def _check(number: int, frame: FrameType | None) -> None:
    """Check all alarms: the handler of the signal. The timer repeats, so an error that is caught is raised again."""
    for alarm in _alarms:
        alarm.check()
    _set_timer()


def _set_timer() -> None:
    """Set the timer to the moment of the next check. Without an alarm, it is turned off."""
    signal.setitimer(signal.ITIMER_REAL, min([alarm.wait() for alarm in _alarms], default=0), REPEAT_SECONDS)

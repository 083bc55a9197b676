"""Interrupts Python code that runs too long in the main thread."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

REPEAT_SECONDS = 1.0
"""The error is raised again after this time, in case the code has caught it."""


@contextlib.contextmanager
def interrupted_after(
    seconds: float | None, error: type[BaseException], *, unless: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Raise `error` inside the `with` block when so many seconds have passed. None is no limit.

    If `unless` is true at that time, the seconds are counted again.

    It uses the alarm signal. So it does nothing outside the main thread and on Windows, and cannot interrupt C code
    before it returns. If an earlier alarm is set already, that alarm is kept instead.
    """
    is_possible = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if seconds is None or not math.isfinite(seconds) or not is_possible:
        yield
        return
    before = signal.getitimer(signal.ITIMER_REAL)[0]
    if 0 < before <= seconds:
        yield
        return
    is_armed, started = True, time.monotonic()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not is_armed:
            return
        if unless():
            signal.setitimer(signal.ITIMER_REAL, seconds, REPEAT_SECONDS)
        else:
            raise error

    handler = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3), REPEAT_SECONDS)
        try:
            yield
        finally:
            is_armed = False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if before:
            signal.setitimer(signal.ITIMER_REAL, max(before - (time.monotonic() - started), 1e-3), REPEAT_SECONDS)

"""Ctrl-C during a search: it must not interrupt a backend in the middle of its work."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred_interrupt() -> Iterator[None]:
    """Defer Ctrl-C (SIGINT) to the end of the `with` block. A second Ctrl-C interrupts at once.

    A backend may catch every exception of its library, KeyboardInterrupt too. It would then give another suggestion
    than the replay of the record gives, and the study could not be resumed.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    caught: list[tuple[int, FrameType | None]] = []

    def defer(number: int, frame: FrameType | None) -> None:
        if caught:
            handler(number, frame)
        caught.append((number, frame))

    signal.signal(signal.SIGINT, defer)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if caught:
            handler(*caught[0])

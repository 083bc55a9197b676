"""Ctrl-C and the signals that end a search: they must not interrupt a backend in the middle of its work."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol, runtime_checkable

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""The signals that end a search."""


@runtime_checkable
class DeferrableHandler(Protocol):
    """A handler of a signal that learns of the signal at once, also if the interrupt is deferred."""

    def notice(self, number: int) -> None:
        """Is called when the signal comes. It must not raise an error."""

    def interrupt(self) -> None:
        """Is called at the end of the `with` block, to raise the interrupt."""


@contextmanager
def deferred_interrupt() -> Iterator[None]:
    """Defer Ctrl-C and the other `SIGNALS` to the end of the `with` block. A second one interrupts at once.

    Signals without a handler in Python are not deferred. A `DeferrableHandler` learns of its signal at once.

    A backend may catch every exception of its library, KeyboardInterrupt too. It would then give another suggestion
    than the replay of the record gives, and the study could not be resumed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: handler for number in SIGNALS if callable(handler := signal.getsignal(number))}
    caught: list[tuple[int, FrameType | None]] = []

    def defer(number: int, frame: FrameType | None) -> None:
        handler = handlers[number]
        if caught:
            handler(number, frame)
        elif isinstance(handler, DeferrableHandler):
            handler.notice(number)
        caught.append((number, frame))

    for number in handlers:
        signal.signal(number, defer)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if caught:
            number, frame = caught[0]
            handler = handlers[number]
            if isinstance(handler, DeferrableHandler):
                handler.interrupt()
            else:
                handler(number, frame)

"""Ctrl-C and the other signals that end a search on the command line."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

from hpo.cli import child_processes

STDERR = None if sys.__stderr__ is None else sys.__stderr__.fileno()
"""The number of standard error. None if it was closed when the process started: 2 may be another file then."""
SHOW_CURSOR = "\x1b[?25h"
"""What makes the cursor of a terminal visible again."""


class EndingSignals:
    """The handler of the signals that end a search.

    The first signal shows a line and raises KeyboardInterrupt. Ctrl-C after it ends the process at once.

    Python ignores a KeyboardInterrupt in a destructor, and training code may catch it. `raise_again` raises it then.
    """

    def __init__(self, say: Callable[[str], None], last_line: Callable[[], str]) -> None:
        """`say` shows a line. `last_line` returns the one before the process ends at once.

        Both are called in the middle of other code.
        """
        self._say = say
        self._last_line = last_line
        self._process = os.getpid()
        self._is_noticed = False
        self._has_interrupted = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.notice(number)
        self.interrupt()

    def notice(self, number: int) -> None:
        """Show that the search ends, also if the interrupt itself is deferred. Ctrl-C after that ends the process."""
        if os.getpid() != self._process:  # training code forked this process
            return
        if not self._is_noticed:
            self._is_noticed = True
            self._say(ending_line(number))
        elif number == signal.SIGINT:
            self._write_last_line()
            exit_at_once()

    def _write_last_line(self) -> None:
        """Write the last line below what is on the screen, and show the cursor of a terminal, which was hidden."""
        with contextlib.suppress(Exception):  # the process ends in any case
            line = self._last_line()
            is_terminal = STDERR is not None and os.isatty(STDERR)
            write_line(f"{SHOW_CURSOR}\r\n{line}" if is_terminal else line)

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt."""
        self._has_interrupted = True
        raise KeyboardInterrupt

    def raise_again(self) -> None:
        """Raise KeyboardInterrupt if it was raised before."""
        if self._has_interrupted:
            raise KeyboardInterrupt


@contextlib.contextmanager
def ending_signals(say: Callable[[str], None], last_line: Callable[[], str]) -> Iterator[EndingSignals]:
    """Let Ctrl-C, SIGTERM, and SIGHUP of a terminal that is closed, end the search in the `with` block.

    The arguments are those of `EndingSignals`.
    """
    handler = EndingSignals(say, last_line)
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
        numbers.append(signal.SIGHUP)
    old_handlers = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield handler
    finally:
        for number, old in old_handlers.items():
            signal.signal(number, old)


def ending_line(number: int) -> str:
    """The line that is shown as soon as the first signal comes, which has this number."""
    again = " again" if number == signal.SIGINT else ""
    return f"ending the search and writing its tables; press Ctrl-C{again} to end at once"


def write_line(line: str) -> None:
    """Write a line to standard error, if there is one. Unlike `print`, this works inside another write to it."""
    if STDERR is not None:
        with contextlib.suppress(OSError):  # nobody may read it any more
            os.write(STDERR, f"{line}\n".encode())


def exit_at_once() -> None:
    """End this process, and the processes that it started, without waiting for its threads."""
    try:
        child_processes.kill_started()
    finally:
        os._exit(130)

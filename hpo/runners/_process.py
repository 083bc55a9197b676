"""A worker process: its start, its pipe, and its end with the process that searches."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection, resource_tracker
from types import ModuleType
from typing import Any

from hpo.devices import Slot


class Process:
    """A process that works on a slot, and can be put in place of itself when it died."""

    def __init__(self, serve: Callable[..., None], arguments: tuple[Any, ...], slot: Slot) -> None:
        """Runs `serve(pipe, *arguments, slot)` in a new process. Both must be importable there."""
        self._serve, self._arguments, self._slot = serve, arguments, slot
        self._spawn()

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def replace(self) -> int | None:
        """End the process if it still runs, and start another; the exit status of the one that was."""
        self.kill()
        self.join()
        status = self._process.exitcode
        self._spawn()
        return status

    def kill(self) -> None:
        """End the process at once, without waiting for it."""
        self._process.kill()

    def join(self) -> None:
        """Wait for the end of the process, and close its pipe."""
        self._process.join()
        self.pipe.close()

    def _spawn(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        arguments = (self._serve, theirs, *self._arguments, self._slot)
        self._process = context.Process(target=_live, args=arguments, daemon=True)
        with _inherited(self._slot.environment), _without_main():
            self._process.start()
        theirs.close()


def end(processes: Sequence[Process]) -> None:
    """End all of them at once, and wait for that."""
    for process in processes:
        process.kill()
    for process in processes:
        process.join()


def _live(serve: Callable[..., None], *arguments: Any) -> None:
    """The life of a worker: it ends with the searching process, or when that closes the pipe."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        serve(*arguments)


@contextlib.contextmanager
def _inherited(environment: dict[str, str]) -> Iterator[None]:
    """What a process started inside inherits: variables, and a blocked SIGINT.

    Ctrl-C reaches every process of a terminal, but is the affair of the one that searches.
    """
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    if sys.platform != "win32":
        resource_tracker.ensure_running()  # it starts with the first process else, and lets SIGINT through again
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if hasattr(signal, "pthread_sigmask") else None
    try:
        yield
    finally:
        if blocked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """A process started inside does not run the user's script again.

    By default multiprocessing does, so that functions of the script can be found; a script without
    `if __name__ == "__main__"` would then search again in each worker. Here own code travels by value (`Job`).
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)

"""A worker process with a pipe to the process that searches. It ends when the searching process ends."""

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
    """A worker process of one slot. A process that died can be replaced."""

    def __init__(self, serve: Callable[..., None], arguments: tuple[Any, ...], slot: Slot) -> None:
        """Run `serve(pipe, *arguments, slot)` in a new process.

        `serve` must be importable in the new process, and `arguments` must be picklable.
        """
        self._serve, self._arguments, self._slot = serve, arguments, slot
        self._spawn()

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def replace(self) -> int | None:
        """End the process if it still runs, start a new one, and return the exit status of the old one."""
        self.kill()
        self.join()
        status = self._process.exitcode
        self._spawn()
        return status

    def kill(self) -> None:
        """Kill the process, without waiting for its end."""
        self._process.kill()

    def join(self) -> None:
        """Wait until the process has ended, and close its pipe."""
        self._process.join()
        self.pipe.close()

    def _spawn(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, child_pipe = context.Pipe()
        arguments = (self._serve, child_pipe, *self._arguments, self._slot)
        self._process = context.Process(target=_run, args=arguments, daemon=True)
        with _child_environment(self._slot.environment), _hidden_main_module():
            self._process.start()
        child_pipe.close()


def end(processes: Sequence[Process]) -> None:
    """Kill all processes, then wait until they have ended."""
    for process in processes:
        process.kill()
    for process in processes:
        process.join()


def _run(serve: Callable[..., None], *arguments: Any) -> None:
    """The main function of a worker process.

    The process ends when the searching process ends or closes the pipe.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        serve(*arguments)


@contextlib.contextmanager
def _child_environment(environment: dict[str, str]) -> Iterator[None]:
    """A process that is started inside this context inherits `environment` and ignores Ctrl-C.

    A terminal sends SIGINT to all processes, but only the searching process must react to it.
    """
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    if sys.platform != "win32":
        # Otherwise the resource tracker starts together with the first process, and unblocks SIGINT.
        resource_tracker.ensure_running()
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
def _hidden_main_module() -> Iterator[None]:
    """A process that is started inside this context does not run the user's script.

    By default multiprocessing runs the script again in each new process, so that its functions can be imported. A
    script without `if __name__ == "__main__"` would then search again in each worker. Workers do not need the script,
    because `Job` sends its code by value.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _end_with_parent() -> None:
    """Wait for the end of the searching process, then end this one."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)

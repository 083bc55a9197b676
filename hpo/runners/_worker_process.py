"""A worker process with a pipe to the process that searches.

A worker may start processes of its own. It leads a process group, and the group ends when the worker or the searching
process ends, however that happens. On Windows, which has no process groups, only the worker ends.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection, resource_tracker
from types import ModuleType
from typing import Any, NamedTuple
from weakref import WeakSet

from hpo.closed_output import ignore_closed_output
from hpo.devices import Slot
from hpo.training.out_of_memory import is_oom_kill, n_oom_kills

CHECK_SECONDS = 0.5
"""How often `ready` checks that the processes are alive. A pipe does not always tell: a child may hold it open."""
MAX_FILES = 2**16
"""The guard of a process group closes the files with lower numbers."""


class Death(NamedTuple):
    """How a process ended."""

    status: int | None
    """Its exit status, or minus the number of the signal that ended it."""
    is_oom_kill: bool
    """Whether the kernel probably killed it because memory ran out, see `out_of_memory.is_oom_kill`."""


class Process:
    """A worker process of one slot. A process that died can be replaced."""

    def __init__(
        self,
        serve: Callable[..., None],
        arguments: tuple[Any, ...],
        slot: Slot,
        count_oom_kills: Callable[[], int | None] = n_oom_kills,
    ) -> None:
        """Run `serve(pipe, *arguments, slot)` in a new process.

        `serve` must be importable in the new process, and `arguments` must be picklable. `count_oom_kills` says how
        many processes the kernel has killed because memory ran out, None if this is not known.
        """
        self._serve, self._arguments, self._slot = serve, arguments, slot
        self._count_oom_kills = count_oom_kills
        self._is_killed = False
        self._spawn()
        with _lock:
            _processes.add(self)

    def is_alive(self) -> bool:
        """Whether the process runs, and was not killed here."""
        # `multiprocessing` does not know of the end of a process that other code has waited for.
        return not self._is_killed and self._process.is_alive()

    def kill_group_if_dead(self) -> bool:
        """Kill what is left of the process group if the process has died. Returns whether it has."""
        if self.is_alive():
            return False
        self.kill()
        return True

    def receive(self) -> Any:
        """Return what the process sent. It must be `ready`. Raises an EOFError if it has died and sent nothing."""
        if self.kill_group_if_dead() and not self.pipe.poll():
            raise EOFError
        try:
            received = self.pipe.recv()
        except ConnectionResetError:
            raise EOFError from None
        self._oom_kills = self._count_oom_kills()
        return received

    def end(self) -> Death:
        """End the process if it still runs, wait for its end, and return how it ended. `replace` starts a new one."""
        self.kill()
        self.join()
        status = self._process.exitcode
        return Death(status, is_oom_kill(status, self._oom_kills, self._count_oom_kills()))

    def replace(self) -> Death:
        """End the process if it still runs, start a new one, and return how the old one ended."""
        death = self.end()
        self._spawn()
        return death

    def kill(self) -> None:
        """Kill the process and its process group, without waiting for their end."""
        if not self._is_killed and self._process.pid is not None:
            self._is_killed = True  # later, another group could have the same number
            if hasattr(os, "killpg"):
                with contextlib.suppress(ProcessLookupError, PermissionError):  # it does not lead a group yet
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()

    def join(self) -> None:
        """Wait until the process has ended, and close its pipe."""
        self._process.join()
        self.pipe.close()

    def _spawn(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, child_pipe = context.Pipe()
        start_method = multiprocessing.get_start_method(allow_none=True)
        arguments = (start_method, self._serve, child_pipe, *self._arguments, self._slot)
        self._process = context.Process(target=_run, args=arguments)
        self._is_killed = False
        self._oom_kills = self._count_oom_kills()
        with _lock, _child_environment(self._slot.environment), _hidden_main_module():
            self._process.start()
        child_pipe.close()


_lock = threading.RLock()
"""Is held while a process starts, which changes settings of the whole process for a moment, and to change `_processes`.

Several searches may run in threads of one process.
"""
_processes: WeakSet[Process] = WeakSet()


@atexit.register
def _kill_all() -> None:
    """Kill the processes that were not ended. Otherwise multiprocessing would wait for them when the program exits."""
    with _lock:
        processes = list(_processes)
    for process in processes:
        process.kill()


def ready(processes: Sequence[Process], of_runner: Sequence[Process]) -> list[Process]:
    """Wait until some processes have sent something or have died, and return them. Empty after `CHECK_SECONDS`.

    `of_runner` are all processes of the runner. If one has died, what is left of its process group is killed.
    """
    by_pipe = {process.pipe: process for process in processes}
    sent = [by_pipe[pipe] for pipe in connection.wait(by_pipe, CHECK_SECONDS)]  # type: ignore[index]
    dead = {process for process in of_runner if process.kill_group_if_dead()}
    return sent or [process for process in processes if process in dead]


def kill_and_join(processes: Sequence[Process]) -> None:
    """Kill all processes, then wait until they have ended."""
    for process in processes:
        process.kill()
    for process in processes:
        process.join()


def _run(start_method: str | None, serve: Callable[..., None], *arguments: Any) -> None:
    """The main function of a worker process.

    The process ends when the searching process ends or closes the pipe. It does not wait for its threads and children.
    They are started by `start_method`, which is that of the searching process. None is the default of the system.
    """
    multiprocessing.set_start_method(start_method, force=True)  # otherwise it would be that of this process, spawn
    if hasattr(os, "fork"):
        os.setsid()
        _start_guard()
        _ignore_interrupt()
    else:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    ignore_closed_output()
    try:
        serve(*arguments)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


def _start_guard() -> None:
    """Start the guard: a process that ends this process group when the searching process ends.

    It works although this process hangs or was killed. While it lives, no other group gets the number of this one. It
    is no child of this process, so that code that waits for all its children does not wait for it.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads; the guard needs no lock of theirs
        child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        if os.fork() == 0:
            _guard(int(parent.sentinel))
    finally:
        os._exit(0)


def _guard(sentinel: int) -> None:
    """Wait until the pipe `sentinel` closes, then kill the own process group."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for standard_stream in range(3):
        os.dup2(null, standard_stream)
    os.closerange(3, sentinel)
    os.closerange(sentinel + 1, MAX_FILES)
    os.read(sentinel, 1)
    os.killpg(0, signal.SIGKILL)


def _ignore_interrupt() -> None:
    """Ignore Ctrl-C in this process. Programs that it starts do not ignore it."""
    signal.signal(signal.SIGINT, lambda number, frame: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextlib.contextmanager
def _child_environment(environment: dict[str, str]) -> Iterator[None]:
    """A process that is started inside this context inherits `environment`, and Ctrl-C does not end it as it starts.

    A terminal sends SIGINT to all processes of its group, but only the searching process must react to it.
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
    """Wait for the end of the searching process, then end this one. This is for systems without process groups."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)

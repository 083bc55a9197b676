"""The worker processes of a runner, and waiting for them, as the tests of several packages need it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import psutil

SECONDS = 240.0
"""How long tests wait for something that must happen. It is far longer than that takes, even on a busy machine."""


def wait_for(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait until `condition` is true. Raises TimeoutError if it is not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing happened for {seconds:g} seconds")
        time.sleep(0.02)


def workers() -> list[psutil.Process]:
    """The worker processes of this process."""
    children = psutil.Process().children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def kill_workers() -> None:
    """Kill the worker processes of this process, and wait for their ends."""
    for worker in workers():
        worker.kill()
        worker.wait()


def started_by_trials(log: Path) -> list[psutil.Process]:
    """The processes that trials of `toy.WithChildren` wrote down: their workers, and those that they started."""
    found = []
    for number in {int(line) for line in log.read_text().splitlines()}:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended
            found.append(psutil.Process(number))
    return found


def wait_until_ended(processes: list[psutil.Process], seconds: float = SECONDS) -> list[psutil.Process]:
    """Wait until processes have ended, and return those that have not. An ended one may still be listed as a zombie."""

    def runs(process: psutil.Process) -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    deadline = time.monotonic() + seconds
    while (alive := [process for process in processes if runs(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive

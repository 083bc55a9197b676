"""The processes that a command started. They end when the command ends: the inline runner trains in this process.

After `kill -9` of the command they live on. Only the runners with worker processes end them then, too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path

MAX_ROUNDS = 10
"""How often `kill_started` looks for processes that were started meanwhile."""

_before: set[int] = set()
"""The processes below this one that the command has not started, such as background jobs of a shell that became `hpo`.

It is filled when the command begins.
"""


@contextlib.contextmanager
def ended_child_processes() -> Iterator[None]:
    """The processes that are started inside the `with` block are killed at its end, with their own children."""
    _before.clear()
    _before.update(_descendants())
    try:
        yield
    finally:
        kill_started()


def kill_started() -> None:
    """Kill all processes that the command has started, with their own children."""
    kept = _before | {getattr(resource_tracker, "_resource_tracker")._pid or 0}  # noqa: B009
    for _ in range(MAX_ROUNDS):
        if not (processes := _descendants() - kept):
            return
        for number in processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(number, signal.SIGKILL)
        kept |= processes


def _descendants() -> set[int]:
    """The numbers of the processes that this process has started, of their children, and so on."""
    parents = _parents()
    descendants: set[int] = set()
    found = {os.getpid()}
    while found := {number for number, parent in parents.items() if parent in found} - descendants:
        descendants |= found
    return descendants


def _parents() -> dict[int, int]:
    """The number of each process of this machine, and that of its parent. Empty if they cannot be found out."""
    parents: dict[int, int] = {}
    if Path("/proc/self/stat").exists():
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError, ValueError, IndexError):  # the process may end meanwhile
                fields = path.read_text(errors="replace").rpartition(")")[2].split()
                parents[int(path.parent.name)] = int(fields[1])
    elif os.name == "posix":
        with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
            listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
            pairs = [line.split() for line in listed.stdout.splitlines()]
            parents = {int(number): int(parent) for number, parent in pairs}
    return parents

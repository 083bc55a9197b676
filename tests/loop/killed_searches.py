"""Searches on the toy that kill themselves by SIGKILL after some events, and go on in the next process.

A script of its own, because it forks: `python -m tests.loop.killed_searches FOLDER BACKEND N_EVENTS...`. Each fork
begins the search, or resumes it, and kills itself once it has recorded so many events. The script prints the exit
status of each fork, negative for a signal. It searches nothing itself, so each fork knows nothing but what is on disk.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from hpo.loop import begin, resume
from hpo.record import Budget
from tests import toy
from tests.loop.searching import INLINE, KillAfter


def forked(folder: Path, backend: str, n_events: int) -> int:
    """Search in a fork until so many events are on record. Its exit status."""
    pid = os.fork()
    if pid == 0:
        watch = KillAfter(n_events)
        if (folder / "study.yaml").exists():
            resume(folder, watch=watch)
        else:
            begin(folder, toy.space(), replace(INLINE, backend=backend), Budget(trials=9), watch=watch)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    import torch  # noqa: F401  so that no fork imports it

    # A backend imports its libraries when it is built.
    import_module(f"hpo.backends.{sys.argv[2]}").build(toy.space(), seed=0)
    for n_events in sys.argv[3:]:
        print(forked(Path(sys.argv[1]), sys.argv[2], int(n_events)), flush=True)

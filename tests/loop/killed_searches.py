"""Searches on the toy that kill themselves by SIGKILL after some events, and go on in the next process.

A script of its own, because it forks:
`python -m tests.loop.killed_searches FOLDER BACKEND N_EVENTS... [--from SOURCE] [--storage URL]`. SOURCE is the folder
of an earlier study, which is needed only to begin. Each fork begins the search, or resumes it, and kills itself once it
has recorded so many events. The script prints the exit status of each fork, negative for a signal. It searches nothing
itself, so each fork knows nothing but what is on disk.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from hpo.loop import Earlier, Session, begin, resume
from hpo.record import Budget
from tests import toy
from tests.loop.searching import INLINE, KillAfter


def forked(folder: Path, backend: str, source: Path | None, storage: str | None, n_events: int) -> int:
    """Search in a fork until so many events are on record. Its exit status."""
    pid = os.fork()
    if pid == 0:
        watch = KillAfter(n_events)
        if (folder / "study.yaml").exists():
            resume(folder, session=Session(watch=watch))
        else:
            settings = replace(INLINE, backend=backend, storage=storage)
            earlier = None if source is None else Earlier(source)
            begin(folder, toy.space(), settings, Budget(trials=9), earlier=earlier, session=Session(watch=watch))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    import torch  # noqa: F401  so that no fork imports it

    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("backend")
    parser.add_argument("--from", dest="source", type=Path)
    parser.add_argument("--storage")
    parser.add_argument("n_events", type=int, nargs="+")
    given = parser.parse_args()
    # A backend imports its libraries when it is built.
    import_module(f"hpo.backends.{given.backend}").build(toy.space(), seed=0)
    for n_events in given.n_events:
        print(forked(given.folder, given.backend, given.source, given.storage, n_events), flush=True)

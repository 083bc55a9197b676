"""Kills `hpo test` by SIGKILL just before every second change of a file in the study's folder, and then runs it again.

A script of its own, because it forks: `python -m tests.heldout.kill_moments FOLDER`. `FOLDER` is a finished search. It
prints a JSON object for each kill: the content of `test.json` after the kill, and after the next run.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from hpo.heldout import Plan, evaluate

EVENTS = {"os.rename": 1, "os.remove": 0, "open": 0, "shutil.rmtree": 0}
"""The events of Python that change files, and the place of the path in their arguments."""


def main(study: Path) -> None:
    shutil.copytree(study, study.with_name("whole"))
    forked(study.with_name("whole"), None)
    print(json.dumps({"whole": content(study.with_name("whole"))}))
    moment = 0
    while True:
        copy = study.with_name(f"killed_{moment}")
        shutil.copytree(study, copy)
        if forked(copy, moment) == 0:
            return
        killed = content(copy)
        assert forked(copy, None) == 0
        print(json.dumps({"killed": killed, "again": content(copy)}), flush=True)
        shutil.rmtree(copy)
        moment += 2


def content(study: Path) -> Any:
    path = study / "test.json"
    return json.loads(path.read_text()) if path.exists() else None


def forked(study: Path, moment: int | None) -> int:
    """Test a study in a fork, which kills itself before change number `moment`. Its status, as `os.wait` gives it."""
    pid = os.fork()
    if pid == 0:
        if moment is not None:
            kill_at(study, moment)
        evaluate(study, Plan(top=2, seeds=2))
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def kill_at(study: Path, moment: int) -> None:
    """Kill this process just before it changes a file that lies directly in the folder, for the `moment`-th time."""
    n = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal n
        if event not in EVENTS or (event == "open" and not (isinstance(arguments[1], str) and "w" in arguments[1])):
            return
        if str(Path(os.fspath(arguments[EVENTS[event]])).parent) == str(study):
            n += 1
            if n > moment:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


if __name__ == "__main__":
    import torch

    # So that no fork imports them.
    import trainables.datasets.digits
    import trainables.models.softmax_regression
    import trainables.regimes.from_scratch  # noqa: F401

    torch.set_num_threads(1)
    main(Path(sys.argv[1]))

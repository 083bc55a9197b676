from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from hpo.loop import begin, resume
from hpo.record import Budget, State
from tests import toy
from tests.loop.searching import BACKENDS, INLINE, check_sound, history, timeless


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_journal_cut_off_at_any_byte_resumes_to_the_same_record(backend: str, tmp_path: Path) -> None:
    """Whenever the process dies, the journal is a prefix of the whole one; even with all checkpoints lost."""
    begin(tmp_path / "whole", toy.space(high=4), replace(INLINE, backend=backend), Budget(trials=8))
    whole = history(tmp_path / "whole").events
    journal = (tmp_path / "whole" / "ledger.log").read_bytes()
    begun = journal.index(b'"op_code":4')  # before the first trial, the study has no study.yaml yet
    begun = journal.rindex(b"\n", 0, begun) + 1
    rng = random.Random(0)
    for round in range(12):
        folder = tmp_path / f"cut{round}"
        folder.mkdir()
        (folder / "study.yaml").write_text((tmp_path / "whole" / "study.yaml").read_text())
        (folder / "ledger.log").write_bytes(
            _renamed(journal[: rng.randrange(begun, len(journal))], "whole", folder.name)
        )
        resume(folder)
        assert timeless(history(folder).events) == timeless(whole)


def _renamed(journal: bytes, old: str, new: str) -> bytes:
    return journal.replace(f'"study_name":"{old}"'.encode(), f'"study_name":"{new}"'.encode())


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["optuna", "bohb", "freeze_thaw"])
def test_a_search_killed_again_and_again_equals_one_that_never_was(backend: str, tmp_path: Path) -> None:
    begin(tmp_path / "whole", toy.space(), replace(INLINE, backend=backend), Budget(trials=9))
    command = [sys.executable, "-m", "tests.loop.killed_searches", str(tmp_path / "killed"), backend]
    command += ["7", "1", "12", "1000"]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert [int(status) for status in printed.stdout.split()] == [-signal.SIGKILL] * 3 + [0]
    assert timeless(history(tmp_path / "killed").events) == timeless(history(tmp_path / "whole").events)


@pytest.mark.slow
def test_on_processes_no_recorded_epoch_is_lost_or_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "trained.log"
    monkeypatch.setenv("HPO_TOY_LOG", str(log))
    script = (
        "import sys; from pathlib import Path; from hpo.loop import Session, begin, resume; from hpo.record import *\n"
        "from tests import toy; from tests.loop.searching import KillAfter\n"
        "if __name__ == '__main__':\n"
        "    folder, n = Path(sys.argv[1]), int(sys.argv[2])\n"
        "    settings = Settings(backend='bohb', devices='cpu', slots=2)\n"
        "    session = Session(watch=KillAfter(n))\n"
        "    if (folder / 'study.yaml').exists(): resume(folder, session=session)\n"
        "    else: begin(folder, toy.space(sleep=0.01), settings, Budget(trials=14), session=session)\n"
    )
    path = tmp_path / "driver.py"
    path.write_text(script)
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    for n_events in (9, 23, 1000):
        subprocess.run([sys.executable, str(path), str(tmp_path / "s"), str(n_events)], timeout=120, env=environment)
    seen = history(tmp_path / "s")
    check_sound(seen)
    assert len(seen.trials) == 14
    assert not seen.running
    n_trained = len(log.read_text().splitlines())
    n_kills, n_slots = 2, 2
    assert seen.n_epochs <= n_trained <= seen.n_epochs + n_kills * n_slots


def test_a_larger_budget_goes_on_as_if_it_had_been_there_from_the_start(tmp_path: Path) -> None:
    settings = replace(INLINE, backend="bohb")
    begin(tmp_path / "a", toy.space(), settings, Budget(trials=20))
    begin(tmp_path / "b", toy.space(), settings, Budget(trials=7))
    resume(tmp_path / "b", Budget(trials=20))
    assert timeless(history(tmp_path / "b").events) == timeless(history(tmp_path / "a").events)


def test_a_trial_closed_with_its_study_goes_on_where_it_was(tmp_path: Path) -> None:
    settings = replace(INLINE, backend="random")
    begin(tmp_path / "s", toy.space(), settings, Budget(epochs=4))
    assert history(tmp_path / "s").n_epochs == 4
    assert (pd.read_csv(tmp_path / "s" / "trials.csv")["state"] == "stopped").all()
    resume(tmp_path / "s", Budget(trials=1))
    seen = history(tmp_path / "s")
    assert [report.fidelity for report in seen.trials[0].reports] == list(range(1, 10))
    assert seen.trials[0].state is State.COMPLETE

"""Searches whose record is in PostgreSQL, on a real server."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.postgresql_server import PASSWORD, PostgresqlServer
from hpo.loop import begin
from hpo.record import Budget
from tests import toy
from tests.loop.searching import INLINE, history, timeless
from tests.optuna_studies import newest_trials

pytestmark = pytest.mark.slow


@pytest.fixture
def url(postgresql: PostgresqlServer, database: str) -> str:
    return postgresql.url(database)


def test_a_search_killed_again_and_again_equals_one_in_a_journal(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(tmp_path / "whole", toy.space(), replace(INLINE, backend="bohb"), Budget(trials=9))
    command = [sys.executable, "-m", "tests.loop.killed_searches", str(tmp_path / "killed"), "bohb"]
    command += ["7", "1", "12", "1000", "--storage", url]
    monkeypatch.setenv("HPO_STORAGE_PASSWORD", PASSWORD)
    printed = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert [int(status) for status in printed.stdout.split()] == [-signal.SIGKILL] * 3 + [0]
    whole, killed = history(tmp_path / "whole"), history(tmp_path / "killed")
    assert timeless(killed.events) == timeless(whole.events)
    newest = newest_trials(url, "killed")
    assert {number: trial.intermediate_values for number, trial in newest.items()} == {
        number: {report.fidelity: report.metrics["val_loss"] for report in trial.reports}
        for number, trial in whole.trials.items()
    }

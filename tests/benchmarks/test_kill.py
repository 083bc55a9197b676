"""Which errors of a search the benchmark of kills forgives."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.kill import Killed

REFUSED = 'connection failed: connection to server at "127.0.0.1", port 5432 failed: Connection refused'


def ended(folder: Path, printed: str, *, server_was_away: bool) -> list[str]:
    """The problems that are noted when a search ends with status 1 after it printed this."""
    killed = Killed(folder / "study", "inline", 0, random.Random(0))
    program = f"import sys; sys.exit({printed!r})"
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) as driver:
        driver.wait()
        killed._ended(driver, server_was_away=server_was_away)
    return killed.problems


@pytest.mark.parametrize(
    "line",
    [
        f"hpo: storage postgresql://tester@127.0.0.1/studies: cannot be opened: {REFUSED}",
        "hpo: the ledger's storage failed: terminating connection due to administrator command",
        "hpo: the ledger's storage failed: FATAL:  the database system is starting up",
        "hpo: note: the record does not answer\nhpo: the ledger's storage failed: server closed the connection",
    ],
)
def test_a_server_that_does_not_answer_is_forgiven_only_after_it_was_killed(tmp_path: Path, line: str) -> None:
    assert ended(tmp_path, line, server_was_away=True) == []
    assert len(ended(tmp_path, line, server_was_away=False)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "hpo: trial 3 has no checkpoint",
        "hpo: the ledger's storage failed: duplicate key value violates unique constraint",
        f"Traceback (most recent call last):\npsycopg.OperationalError: {REFUSED}",
        f"hpo: the record does not answer: {REFUSED}; the search waits for it\nhpo: a replay differs from the record",
    ],
)
def test_another_error_after_a_kill_of_the_server_is_a_problem(tmp_path: Path, line: str) -> None:
    assert len(ended(tmp_path, line, server_was_away=True)) == 1

"""Searches whose record is in PostgreSQL, on a real server."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.trial import TrialState

from benchmarks.postgresql_server import PASSWORD, PostgresqlServer
from benchmarks.round_trips import QUERY, proxy
from hpo.errors import MachineError
from hpo.loop import Session, begin, resume, studies
from hpo.record import Budget, Event, Ledger, State, StudyFolder
from hpo.training.builder import Job
from tests import toy
from tests.loop.searching import INLINE, check_sound, history, timeless
from tests.optuna_studies import all_trials, newest_trials

INLINE_RANDOM = replace(INLINE, backend="random")

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


def test_nothing_is_lost_or_twice_if_a_connection_is_cut_before_the_server_answers(
    postgresql: PostgresqlServer, database: str, tmp_path: Path
) -> None:
    """Whether the server has executed what was sent is unknown then. Here it has, at any of its answers."""
    budget, notes = Budget(trials=2), list[str]()
    begin(tmp_path / "whole", toy.space(high=2), INLINE_RANDOM, budget)
    whole = timeless(history(tmp_path / "whole").events)
    answers: list[int] = []
    with proxy(postgresql.port) as cutting:
        settings = replace(INLINE_RANDOM, storage=postgresql.url(database, port=cutting.port) + QUERY)
        begin(
            tmp_path / "uncut",
            toy.space(high=2),
            settings,
            budget,
            session=Session(watch=lambda *_: answers.append(cutting.n_round_trips)),
        )
        n_answers = answers[-1] - answers[0]
        for n in range(1, n_answers + 2):  # the last one is that of the end of the study

            def cut(event: Event, ledger: Ledger, n: int = n) -> None:
                if cutting.cut_at is None:
                    cutting.cut_at = cutting.n_round_trips + n

            cutting.cut_at = None
            folder = tmp_path / f"cut{n}"
            begin(folder, toy.space(high=2), settings, budget, session=Session(watch=cut, notify=notes.append))
            assert cutting.cut_at is not None
            assert cutting.n_round_trips > cutting.cut_at
            assert timeless(history(folder).events) == whole
            assert len(all_trials(postgresql.url(database), folder.name)) == 2
    assert n_answers > 6
    assert notes == []


def test_a_search_waits_for_a_server_that_restarts_and_says_so_once(
    postgresql: PostgresqlServer, url: str, tmp_path: Path
) -> None:
    begin(tmp_path / "whole", toy.space(), INLINE_RANDOM, Budget(trials=4))
    restarts, notes, n_events = list[threading.Timer](), list[str](), 0

    def restart(event: Event, ledger: Ledger) -> None:
        nonlocal n_events
        n_events += 1
        if n_events in (8, 20):
            postgresql.stop(crash=n_events == 8)
            restarts.append(threading.Timer(1.0, postgresql.start))
            restarts[-1].start()

    settings = replace(INLINE_RANDOM, storage=url)
    try:
        begin(
            tmp_path / "s", toy.space(), settings, Budget(trials=4), session=Session(watch=restart, notify=notes.append)
        )
    finally:
        for each in restarts:
            each.join()
    assert timeless(history(tmp_path / "s").events) == timeless(history(tmp_path / "whole").events)
    assert [trial.state for trial in newest_trials(url, "s").values()] == [TrialState.COMPLETE] * 4
    begins, ends = "the record does not answer: ", "the record answers again after "
    assert [note.startswith(begins) for note in notes] == [True, False, True, False]
    assert [note.startswith(ends) for note in notes] == [False, True, False, True]
    assert "Connection refused" in notes[0]
    assert "at most 1h00m" in notes[0] or "at most 59m" in notes[0]


def test_a_search_waits_for_a_server_that_keeps_its_connections_and_does_not_answer(
    postgresql: PostgresqlServer, database: str, tmp_path: Path
) -> None:
    begin(tmp_path / "whole", toy.space(), INLINE_RANDOM, Budget(trials=2))
    notes = list[str]()
    with proxy(postgresql.port) as hanging:
        url = postgresql.url(database, port=hanging.port) + QUERY + "&tcp_user_timeout=1000&connect_timeout=2"

        def hang(event: Event, ledger: Ledger) -> None:
            if ledger.history.n_epochs == 3 and not notes:
                hanging.hangs.set()

        def notify(line: str) -> None:
            notes.append(line)
            hanging.hangs.clear()

        settings = replace(INLINE_RANDOM, storage=url)
        begin(tmp_path / "s", toy.space(), settings, Budget(trials=2), session=Session(watch=hang, notify=notify))
        assert timeless(history(tmp_path / "s").events) == timeless(history(tmp_path / "whole").events)
    assert [note.partition(":")[0] for note in notes] == ["the record does not answer", notes[-1]]
    assert notes[-1].startswith("the record answers again after ")


def test_a_study_that_goes_on_waits_for_a_server_that_restarts_while_the_data_are_read(
    postgresql: PostgresqlServer, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(tmp_path / "whole", toy.space(), INLINE_RANDOM, Budget(trials=2))
    begin(tmp_path / "s", toy.space(), replace(INLINE_RANDOM, storage=url), Budget(trials=1))
    starting, notes = threading.Timer(1.0, postgresql.start), list[str]()

    def read(study: StudyFolder, job: Job, *others: object, **options: object) -> Job:
        postgresql.stop()
        starting.start()
        return job

    monkeypatch.setattr(studies, "job_on_recorded_data", read)
    try:
        resume(tmp_path / "s", Budget(trials=2), session=Session(notify=notes.append))
    finally:
        starting.join()
    assert timeless(history(tmp_path / "s").events) == timeless(history(tmp_path / "whole").events)
    assert notes[0].startswith("the record does not answer: ")


def test_a_record_that_cannot_be_read_is_an_error_of_the_machine(
    postgresql: PostgresqlServer, url: str, tmp_path: Path
) -> None:
    begin(tmp_path / "s", toy.space(), replace(INLINE_RANDOM, storage=url), Budget(trials=1))
    ledger = StudyFolder.reopen(tmp_path / "s").ledger(write=False)
    postgresql.stop()
    try:
        for read in (lambda: ledger.finished, lambda: ledger.folder, lambda: ledger.identity):
            with pytest.raises(MachineError, match="the ledger's storage failed: "):
                read()
    finally:
        postgresql.start()
    assert ledger.finished is not None
    ledger.close()


def test_the_budget_of_time_ends_the_waiting(postgresql: PostgresqlServer, url: str, tmp_path: Path) -> None:
    notes: list[str] = []

    def stop(event: Event, ledger: Ledger) -> None:
        if ledger.history.n_epochs == 1:
            postgresql.stop()

    settings = replace(INLINE_RANDOM, storage=url)
    try:
        started = time.monotonic()
        with pytest.raises(MachineError, match=r"did not answer for \d+s, and the budget of time is spent: .*resume"):
            begin(
                tmp_path / "s",
                toy.space(),
                settings,
                Budget(seconds=3),
                session=Session(watch=stop, notify=notes.append),
            )
        assert time.monotonic() - started < 10
        assert len(notes) == 1
    finally:
        postgresql.start()
    resume(tmp_path / "s", Budget(trials=1))
    whole = history(tmp_path / "s")
    check_sound(whole)
    assert [trial.state for trial in whole.trials.values()] == [State.COMPLETE]


def test_two_searches_at_once_share_an_empty_database(
    postgresql: PostgresqlServer, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both create the tables at the same moment."""
    monkeypatch.setenv("HPO_STORAGE_PASSWORD", PASSWORD)
    command = [sys.executable, "-m", "tests.loop.killed_searches", "--storage", url]
    searches = [
        subprocess.Popen([*command, str(tmp_path / name), "random", "1000"], stdout=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    assert [search.communicate(timeout=120)[0].split() for search in searches] == [["0"], ["0"]]
    begin(tmp_path / "whole", toy.space(), replace(INLINE_RANDOM), Budget(trials=9))
    whole = timeless(history(tmp_path / "whole").events)
    assert [timeless(history(tmp_path / name).events) for name in ("one", "two")] == [whole, whole]

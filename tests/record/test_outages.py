from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest
import sqlalchemy
from sqlalchemy import exc

from benchmarks.postgresql_server import PostgresqlServer
from hpo.errors import UserError
from hpo.record.database_errors import is_outage
from hpo.record.outages import Outages
from hpo.record.storage import storage_errors


class Driver(Exception):
    """An error of a driver."""

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


CUT = exc.OperationalError("SELECT 1", {}, Driver("server closed the connection"), connection_invalidated=True)
OUTAGES = {
    "a connection that was cut": CUT,
    "no connection": exc.OperationalError(None, None, Driver("connection failed")),
    "a server that shuts down": exc.OperationalError("SELECT 1", {}, Driver("terminating connection", "57P01")),
    "a broken connection": exc.OperationalError("SELECT 1", {}, Driver("broken", "08006")),
    "a slow login": exc.OperationalError(None, None, Driver("FATAL: canceling authentication due to timeout")),
    "a deadlock": exc.OperationalError("SELECT 1", {}, Driver("deadlock detected", "40P01")),
    "a deadlock in MySQL": exc.OperationalError("SELECT 1", {}, Exception(1213, "Deadlock found")),
}
OTHERS = {
    "a missing permission": exc.ProgrammingError("SELECT 1", {}, Driver("permission denied", "42501")),
    "a full disk": exc.OperationalError("SELECT 1", {}, Driver("No space left on device", "53100")),
    "a locked SQLite file": exc.OperationalError(None, None, sqlite3.OperationalError("database is locked")),
    "a mistake in our code": KeyError("trial"),
    "a wrong password": exc.OperationalError(None, None, Driver('FATAL: password authentication failed for user "me"')),
    "a wrong password in MySQL": exc.OperationalError(None, None, Exception(1045, "Access denied for user")),
}


@pytest.mark.parametrize("name", [*OUTAGES, *OTHERS])
def test_only_a_server_that_does_not_answer_is_waited_for(name: str) -> None:
    assert is_outage({**OUTAGES, **OTHERS}[name]) == (name in OUTAGES)


@pytest.mark.parametrize(
    "error",
    [
        Driver("permission denied", "42501"),
        Exception(1142, "INSERT command denied"),
        Exception(1045, "Access denied for user"),
    ],
)
def test_a_missing_permission_is_a_mistake_of_the_user(error: Exception) -> None:
    with pytest.raises(UserError, match="the storage refuses its user: "), storage_errors():
        raise exc.OperationalError("INSERT", {}, error)


def failing(n_times: int, error: Exception = CUT) -> Callable[[], str]:
    """An operation that fails so many times, and then returns "done"."""
    left = n_times

    def operation() -> str:
        nonlocal left
        left -= 1
        if left >= 0:
            raise error
        return "done"

    return operation


def test_nothing_is_waited_for_before_the_search_begins() -> None:
    with pytest.raises(exc.OperationalError):
        Outages().run(failing(1))


def test_a_connection_that_was_cut_is_replaced_at_once_and_without_a_word() -> None:
    outages, notes = Outages(), list[str]()
    outages.tolerate(notes.append)
    assert outages.run(failing(1)) == "done"
    assert outages.run(failing(1), failing(0)) == "done"
    assert notes == []


def test_the_waiting_is_announced_once_and_its_end_too() -> None:
    outages, notes = Outages(), list[str]()
    outages.tolerate(notes.append)
    assert outages.run(failing(3)) == "done"
    assert notes[0].startswith("the record does not answer: ")
    assert "server closed the connection" in notes[0]
    assert notes[1].startswith("the record answers again after ")
    assert len(notes) == 2


def test_it_is_known_meanwhile_that_the_database_is_waited_for() -> None:
    outages, seen = Outages(), list[bool]()
    outages.tolerate()

    def note() -> str:
        seen.append(outages.is_waiting)
        return "done"

    outages.run(failing(1), note)
    assert seen == [True]
    assert not outages.is_waiting


def test_an_error_of_another_kind_ends_the_waiting() -> None:
    outages = Outages()
    outages.tolerate()
    with pytest.raises(KeyError):
        outages.run(failing(1), failing(1, KeyError("trial")))


@pytest.mark.slow
def test_the_errors_of_a_real_server_are_told_apart(postgresql: PostgresqlServer, database: str) -> None:
    engine = sqlalchemy.create_engine(postgresql.url(database))
    try:
        for statement, expected in (("SELECT 1 / 0", False), ("SELECT pg_terminate_backend(pg_backend_pid())", True)):
            with engine.connect() as connection, pytest.raises(exc.DBAPIError) as raised:
                connection.exec_driver_sql(statement)
            assert is_outage(raised.value) == expected
        postgresql.stop()
        try:
            with pytest.raises(exc.OperationalError) as raised:
                engine.connect()
        finally:
            postgresql.start()
        assert is_outage(raised.value)
    finally:
        engine.dispose()


@pytest.mark.slow
@pytest.mark.parametrize("password", ["wr0ng", None])
def test_a_wrong_password_is_not_waited_for(
    postgresql: PostgresqlServer, database: str, password: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    engine = sqlalchemy.create_engine(postgresql.url(database, password=password))
    with pytest.raises(exc.OperationalError) as raised:
        engine.connect()
    assert not is_outage(raised.value)
    with pytest.raises(UserError, match="the storage refuses its user: "), storage_errors():
        raise raised.value

"""What an error of a database means. Drivers of databases have different classes of errors, and Optuna wraps them."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, OperationalError

from hpo.record.storage_url import without_passwords

MODULES = ("sqlalchemy", "optuna", "sqlite3", "psycopg", "pymysql", "MySQLdb")
"""The beginnings of the names of the modules whose errors come from a storage."""
OUTAGES = {"57P01", "57P02", "57P03", "53300", "40001", "40P01"}
"""The SQLSTATE of what passes by itself.

The server shuts down or starts, has too many connections, or chose to roll back one of two conflicting transactions.
"""
WRONG_PASSWORD = "28P01"
"""The SQLSTATE of a wrong password, and here of any user whom the server does not let in."""
NOT_LET_IN = ("authentication failed", "no password supplied", "no pg_hba.conf entry")
"""What PostgreSQL says to such a user. Its drivers know no SQLSTATE of a connection that fails."""
REFUSED = {"42501", "25006", WRONG_PASSWORD}
"""The SQLSTATE of a missing permission, of a server or user that can only read, and of a wrong password."""
CREATED_MEANWHILE = {"42P07", "42710", "23505"}
"""The SQLSTATE of what another process created at the same time: a table, a type, or a row."""
MISSING_TABLE = {"42P01"}
"""The SQLSTATE of a table that does not exist."""
MYSQL = {
    1044: "42501",
    1045: WRONG_PASSWORD,
    1050: "42P07",
    1062: "23505",
    1142: "42501",
    1146: "42P01",
    1213: "40001",
    1290: "25006",
    1698: WRONG_PASSWORD,
}
"""The SQLSTATE of PostgreSQL for error numbers of MySQL. MySQL's own are less exact, and not every driver has them."""


def is_from_database(error: BaseException) -> bool:
    """Whether an error comes from a storage, and not from the code that uses it."""
    return type(error).__module__.startswith(MODULES)


def is_outage(error: BaseException) -> bool:
    """Whether the server of a database did not answer, so that the same operation may succeed later.

    Whether the operation took effect is unknown then. SQLite has no server.
    """
    found = _database_error(error)
    if found is None or isinstance(found.orig, sqlite3.Error):
        return False
    state = _state(found)
    if found.connection_invalidated or state in OUTAGES or state.startswith("08"):
        return True
    # Without a statement, the connection could not be opened, or the transaction could not be ended.
    return isinstance(found, OperationalError) and found.statement is None and not state


def is_refused(error: BaseException) -> bool:
    """Whether the server does not let the user in, or the user may not do what was tried."""
    return _state_of(error) in REFUSED


def is_created_meanwhile(error: BaseException) -> bool:
    """Whether another process created the same table at the same time."""
    return _state_of(error) in CREATED_MEANWHILE


def is_missing_table(error: BaseException) -> bool:
    """Whether the database has no table of this name."""
    return _state_of(error) in MISSING_TABLE or "no such table" in str(root(error))


def root(error: BaseException) -> BaseException:
    """The error that caused an error, at the beginning of the chain."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def one_line(error: BaseException) -> str:
    """The first line of the error that caused `error`, without the passwords that this process knows."""
    cause = root(error)
    line = without_passwords(next(iter(str(cause).strip().splitlines()), type(cause).__name__))
    if line == "database is locked":
        line += " by another program; the study goes on with `hpo resume` when it is free"
    return line


def _database_error(error: BaseException | None) -> DBAPIError | None:
    """The error of SQLAlchemy about a driver's error in a chain of causes. None if there is none."""
    while error is not None and not isinstance(error, DBAPIError):
        error = error.__cause__
    return error


def _state_of(error: BaseException) -> str:
    found = _database_error(error)
    return "" if found is None else _state(found)


def _state(error: DBAPIError) -> str:
    """The SQLSTATE of an error. Empty if it is not known, such as for a server that is not reached."""
    driver_error = error.orig
    number = next(iter(getattr(driver_error, "args", ())), None)
    if isinstance(number, int) and number in MYSQL:
        return MYSQL[number]
    for name in ("sqlstate", "pgcode"):  # psycopg, psycopg2
        if state := getattr(driver_error, name, None):
            return str(state)
    if error.statement is None and any(words in str(driver_error) for words in NOT_LET_IN):
        return WRONG_PASSWORD
    return ""

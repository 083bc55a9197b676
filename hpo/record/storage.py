"""The storage of the ledger: a journal file, or any Optuna storage by its URL; and its errors as errors of hpo."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy import URL, Engine
from sqlalchemy.exc import ArgumentError

from hpo.errors import HpoError, MachineError, UserError
from hpo.record.database_errors import (
    is_created_meanwhile,
    is_from_database,
    is_missing_table,
    is_refused,
    one_line,
)
from hpo.record.journal import FastJournalStorage, Journal
from hpo.record.storage_url import PASSWORD, complete_url, driver_package, sqlite_file

READ_ONLY = "the record of a study is only read here: nothing in it can be changed or deleted"
LOCK_SECONDS = 60
"""How long to wait for a SQLite file that another program has locked, unless the URL has its own `timeout`."""
LIBPQ = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    "fallback_application_name": "hpo",
}
"""Parameters of a connection to PostgreSQL, unless the URL has its own.

Without them, a server that vanishes without closing its connections would not be noticed for hours. With the driver
psycopg, `tcp_user_timeout` is also the longest time that a server may keep a connection without answering.
"""
CREATING_ATTEMPTS = 5
"""How often to open a database, if several searches create its tables at the same time."""


def open_storage(where: Path | str, *, write: bool) -> tuple[BaseStorage, Journal | None]:
    """Open the storage at `where`, the path of a journal file or the recorded URL of an Optuna storage.

    Returns the storage and, for a file, its Journal (None for a URL). Optuna logs only warnings from then on. With
    `write`, the tables of Optuna are created if they do not exist.

    Raises a UserError if the kind of the database is unknown, if its driver is not installed, or if its server cannot
    be reached or refuses the user.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if isinstance(where, str):
        return _open_url(where, write=write), None
    journal = Journal(where, write=write)
    return FastJournalStorage(journal), journal


def close_storage(storage: BaseStorage) -> None:
    """Close the connections of a storage."""
    storage.remove_session()
    if (engine := database_engine(storage)) is not None:
        engine.dispose()


def database_engine(storage: BaseStorage) -> Engine | None:
    """The engine of the database of a storage. None for a journal."""
    backend = getattr(storage, "_backend", None)
    return backend.engine if isinstance(backend, RDBStorage) else None


def check_url(url: str | None) -> None:
    """Raise the errors of `open_storage` if a storage cannot be opened for writing.

    The tables of Optuna are created if they do not exist.
    """
    if url is not None:
        close_storage(_open_url(url, write=True))


class ReadOnlyStorage:
    """An Optuna storage that can only be read. Every method that is not known to read raises a UserError.

    For Optuna it is a storage: `isinstance(storage, BaseStorage)` holds.
    """

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._storage, name)
        return method if name.startswith("get_") or name in _READS else _refuse

    def __setattr__(self, name: str, value: object) -> None:
        if name != "_storage":
            _refuse()
        super().__setattr__(name, value)


BaseStorage.register(ReadOnlyStorage)
_READS = ("check_trial_is_updatable", "remove_session")
"""The methods that read, apart from those that begin with `get_`."""


def _refuse(*arguments: object, **named: object) -> None:
    raise UserError(READ_ONLY)


def delete_study(url: str, name: str) -> None:
    """Delete a study from the storage at a URL. Raises a MachineError if the storage fails."""
    with storage_errors():
        storage = _open_url(url, write=True)
        storage.delete_study(storage.get_study_id_from_name(name))
        close_storage(storage)


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn any error of a storage into a MachineError with one line of text.

    It is a UserError if the server does not let the user in, or if the user may not do what was tried.
    """
    try:
        yield
    except HpoError:
        raise
    except OSError as error:
        raise MachineError(f"the ledger cannot be written or read: {error}") from error
    except Exception as error:
        if not is_from_database(error):
            raise
        if is_refused(error):
            raise UserError(f"the storage refuses its user: {one_line(error)}") from error
        raise MachineError(f"the ledger's storage failed: {one_line(error)}") from error


class _DatabaseStorage(RDBStorage):
    """Optuna's storage of a database. It leaves no connection open if it cannot be opened."""

    def __init__(self, url: str, engine_arguments: dict[str, Any], *, create_tables: bool) -> None:
        try:
            super().__init__(url, engine_arguments, skip_table_creation=not create_tables)
        except BaseException:
            if hasattr(self, "engine"):
                self.engine.dispose()
            raise


def _open_url(url: str, *, write: bool) -> BaseStorage:
    parsed = complete_url(url)
    file = sqlite_file(url)
    if file is not None and not file.parent.is_dir():
        raise UserError(f"storage {url}: there is no folder {file.parent}")
    escaped = parsed.render_as_string(hide_password=False)
    escaped = escaped.replace("{", "{{").replace("}", "}}")  # Optuna takes the URL for a template
    try:
        storage = _open_database(escaped, _engine_arguments(parsed, write=write), create_tables=write)
    except ImportError as error:
        raise UserError(
            f"storage {url}: the driver of this database is not installed: {one_line(error)}; "
            f"pip install {driver_package(parsed, error.name)}"
        ) from None
    except (ArgumentError, ValueError, TypeError, RuntimeError) as error:  # a RuntimeError: tables of another Optuna
        raise UserError(f"storage {url}: cannot be opened: {one_line(error)}") from None
    except Exception as error:
        if not is_from_database(error):
            raise
        if is_missing_table(error) and not write:
            raise UserError(f"storage {url}: holds no studies: it has no tables of Optuna") from None
        if file is not None:
            raise MachineError(f"the ledger's storage failed: {one_line(error)}") from error
        line = one_line(error)
        asks = parsed.password is None and "password" in line
        places = f"${PASSWORD} or ~/.pgpass" if parsed.get_backend_name() == "postgresql" else f"${PASSWORD}"
        hint = f"; give its password in {places}" if asks else ""
        raise UserError(f"storage {url}: {line}{hint}") from None
    return optuna.storages.get_storage(storage)


def _open_database(url: str, engine_arguments: dict[str, Any], *, create_tables: bool) -> RDBStorage:
    """Open a database, again if another process creates the tables of Optuna at this moment."""
    for _ in range(CREATING_ATTEMPTS - 1):
        try:
            return _DatabaseStorage(url, engine_arguments, create_tables=create_tables)
        except Exception as error:
            if not is_created_meanwhile(error):
                raise
            time.sleep(0.1)
    return _DatabaseStorage(url, engine_arguments, create_tables=create_tables)


def _engine_arguments(url: URL, *, write: bool) -> dict[str, Any]:
    """The arguments of `sqlalchemy.create_engine`.

    Of several open connections, the one that was used last is used again: it knows the prepared statements.

    What only reads checks each connection before it uses it, because the server may have restarted meanwhile. What
    writes tries again instead, which costs no round trip.
    """
    kind, _, driver = url.drivername.partition("+")
    if kind == "sqlite":
        return {"connect_args": {} if "timeout" in url.query else {"timeout": LOCK_SECONDS}}
    pool = {"pool_use_lifo": True, "pool_pre_ping": not write}
    if driver == "psycopg":
        from hpo.record.postgresql_connection import connecting

        return {"creator": connecting(url, LIBPQ), **pool}
    defaults = LIBPQ if driver == "psycopg2" else {}
    return {"connect_args": {name: value for name, value in defaults.items() if name not in url.query}, **pool}

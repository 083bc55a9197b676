"""The storage of the ledger: a journal file, or any Optuna storage by its URL; and its errors as MachineErrors.

The URL that is recorded and shown has no password. A password that was given in a URL is known as long as the process
runs. Later it is given again, or is in $HPO_STORAGE_PASSWORD, or is found by the database's own library (~/.pgpass).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from hpo.errors import HpoError, MachineError, UserError, nearest
from hpo.record.journal import FastJournalStorage, Journal

READ_ONLY = "the record of a study is only read here: nothing in it can be changed or deleted"
PASSWORD = "HPO_STORAGE_PASSWORD"
"""The environment variable with the password of a storage whose URL has none."""
SECRETS = ("password", "passwd", "pwd", "sslpassword", "odbc_connect")
"""The names of parameters of a URL that contain a password."""
LOCK_SECONDS = 60
"""How long to wait for a SQLite file that another program has locked, unless the URL has its own `timeout`."""
KINDS = ("sqlite", "postgresql", "mysql")
"""The kinds of databases that Optuna supports."""

_complete_urls: dict[str, str] = {}
"""The URLs with passwords that were given to this process, by their recorded URLs."""


def recorded_url(url: str | None) -> str | None:
    """Return the URL that is recorded and shown: without a password, and with an absolute path of a SQLite file.

    Raises a UserError if it is no URL, or the URL of a database in memory, which nobody could open later.
    """
    if url is None:
        return None
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        file = _sqlite_file(parsed)
        if file is None:
            raise UserError(f"storage {url}: is in memory, and lost when the search ends; give a file: sqlite:///s.db")
        prefix = "file:" if str(parsed.database).startswith("file:") else ""
        return parsed.set(database=f"{prefix}{file}").render_as_string(hide_password=False)
    public = URL.create(
        parsed.drivername, parsed.username, None, parsed.host, parsed.port, parsed.database, parsed.query
    ).difference_update_query(SECRETS)
    recorded = public.render_as_string(hide_password=False)
    if parsed != public:
        _complete_urls[recorded] = parsed.render_as_string(hide_password=False)
    return recorded


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite storage. None for the URL of any other storage."""
    parsed = _parse(url)
    return _sqlite_file(parsed) if parsed.get_backend_name() == "sqlite" else None


def open_storage(where: Path | str, *, write: bool) -> tuple[BaseStorage, Journal | None]:
    """Open the storage at `where`, the path of a journal file or the recorded URL of an Optuna storage.

    Returns the storage and, for a file, its Journal (None for a URL). Optuna logs only warnings from then on. Raises a
    UserError if the kind of the database is unknown, or if its driver is not installed.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if isinstance(where, str):
        return _open_url(where), None
    journal = Journal(where, write=write)
    return FastJournalStorage(journal), journal


def check_url(url: str | None) -> None:
    """Raise a UserError if a storage cannot be opened because of its URL, and a MachineError if it cannot be reached.

    The tables of Optuna are created if they do not exist.
    """
    if url is not None:
        _open_url(url).remove_session()


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
        storage = _open_url(url)
        storage.delete_study(storage.get_study_id_from_name(name))


@contextmanager
def storage_errors(hint: str = "") -> Iterator[None]:
    """Turn any error of a storage into a MachineError with one line of text, which ends with `hint`."""
    try:
        yield
    except HpoError:
        raise
    except OSError as error:
        raise MachineError(f"the ledger cannot be written or read: {error}") from error
    except Exception as error:
        if type(error).__module__.startswith(("sqlalchemy", "optuna", "sqlite3", "psycopg", "pymysql", "MySQLdb")):
            raise MachineError(f"the ledger's storage failed: {_first_line(error)}{hint}") from error
        raise


def _open_url(url: str) -> BaseStorage:
    parsed = _parse(_complete_urls.get(url, url))
    is_sqlite = parsed.get_backend_name() == "sqlite"
    if is_sqlite and (file := _sqlite_file(parsed)) is not None and not file.parent.is_dir():
        raise UserError(f"storage {url}: there is no folder {file.parent}")
    if not is_sqlite and parsed.password is None and PASSWORD in os.environ:
        parsed = parsed.set(password=os.environ[PASSWORD])
    arguments = {"connect_args": {"timeout": LOCK_SECONDS}} if is_sqlite and "timeout" not in parsed.query else {}
    hint = "" if is_sqlite or parsed.password else f"; give its password in ${PASSWORD}, or in the URL by --storage"
    complete = parsed.render_as_string(hide_password=False)
    escaped = complete.replace("{", "{{").replace("}", "}}")  # Optuna takes the URL for a template
    try:
        with storage_errors(hint):
            return optuna.storages.get_storage(RDBStorage(escaped, engine_kwargs=arguments))
    except ImportError as error:
        raise UserError(f"storage {url}: the driver of this database is not installed: {_first_line(error)}") from None
    except (ArgumentError, ValueError, TypeError) as error:
        raise UserError(f"storage {url}: cannot be opened: {_first_line(error)}") from None


def _parse(url: str) -> URL:
    """The parts of a URL. Raises a UserError, without the password, if it is not the URL of a database."""
    try:
        parsed = make_url(url)
        parsed.get_dialect()
    except NoSuchModuleError:
        kind = url.partition(":")[0]
        raise UserError(f"storage {_masked(url)}: unknown kind of database {kind!r}{nearest(kind, KINDS)}") from None
    except ImportError:
        pass  # a missing driver is reported when the storage is opened
    except (ArgumentError, ValueError):
        raise UserError(f"storage {_masked(url)}: not a storage URL (one is sqlite:///study.db)") from None
    if "@" in (parsed.host or ""):
        raise UserError(f"storage {_masked(url)}: in a password, write the character @ as %40")
    return parsed


def _sqlite_file(url: URL) -> Path | None:
    """The file of the URL of a SQLite database. None if the database is in memory."""
    name = (url.database or "").removeprefix("file:")
    if name in ("", ":memory:") or url.query.get("mode") == "memory" or url.query.get("vfs") == "memdb":
        return None
    return Path(name).expanduser().absolute()


def _masked(url: str) -> str:
    """The text of a URL that may be malformed, with "***" for each password."""
    start = "://" if "://" in url else "^"
    text = re.sub(rf"({start}[^:/@]*):.*@", r"\1:***@", url)
    return re.sub(rf"\b({'|'.join(SECRETS)})=[^&]*", r"\1=***", text)


def _first_line(error: BaseException) -> str:
    """The first line of the error that caused `error`, without the passwords that this process knows."""
    while error.__cause__ is not None:
        error = error.__cause__
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    for url in _complete_urls.values():
        for secret in (make_url(url).password, *(make_url(url).query.get(name) for name in SECRETS)):
            line = line.replace(str(secret), "***") if secret else line
    if os.environ.get(PASSWORD):
        line = line.replace(os.environ[PASSWORD], "***")
    if line == "database is locked":
        line += " by another program; the study goes on with `hpo resume` when it is free"
    return line

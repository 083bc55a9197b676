"""The storage of the ledger: a journal file, or any Optuna storage by its URL; and its errors as MachineErrors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.storages import BaseStorage
from sqlalchemy.exc import ArgumentError

from hpo.errors import HpoError, MachineError, UserError
from hpo.record.journal import Journal

SQLITE = "sqlite:///"
"""The beginning of the URL of a SQLite file."""


def absolute_url(url: str | None) -> str | None:
    """Make the path in the URL of a SQLite file absolute, so that the study can be opened from any folder.

    Any other URL, and None, is returned as it is.
    """
    return f"{SQLITE}{Path(url.removeprefix(SQLITE)).absolute()}" if url and url.startswith(SQLITE) else url


def open_storage(where: Path | str, *, write: bool) -> tuple[BaseStorage, Journal | None]:
    """Open the storage at `where`, the path of a journal file or the URL of an Optuna storage.

    Returns the storage and, for a file, its Journal (None for a URL). Optuna logs only warnings from then on. Raises a
    UserError if `where` is not the URL of a storage, or if the driver of its database is not installed.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if isinstance(where, str):
        return _open_url(where), None
    journal = Journal(where, write=write)
    return optuna.storages.JournalStorage(journal), journal


def _open_url(url: str) -> BaseStorage:
    try:
        return optuna.storages.get_storage(url)
    except ImportError as error:
        raise UserError(f"storage {url}: the driver of this database is not installed: {error}") from None
    except (ArgumentError, ValueError, TypeError) as error:
        raise UserError(f"storage {url}: not a storage URL (one is sqlite:///study.db): {error}") from None


def delete_study(url: str, name: str) -> None:
    """Delete a study from the storage at a URL. Raises a MachineError if the storage fails."""
    with storage_errors():
        storage = _open_url(url)
        storage.delete_study(storage.get_study_id_from_name(name))


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn any error of a storage into a MachineError with one line of text."""
    try:
        yield
    except HpoError:
        raise
    except OSError as error:
        raise MachineError(f"the ledger cannot be written or read: {error}") from error
    except Exception as error:
        if type(error).__module__.startswith(("sqlalchemy", "optuna", "sqlite3", "psycopg", "pymysql")):
            line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise MachineError(f"the ledger's storage failed: {line}") from error
        raise

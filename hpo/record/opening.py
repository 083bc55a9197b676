"""How the record of a study begins, and how one that exists is opened: a Ledger on its journal or storage."""

from __future__ import annotations

import contextlib
import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.study import StudyDirection

from hpo.errors import StudyError
from hpo.record.journal import Journal
from hpo.record.ledger import Ledger
from hpo.record.storage import close_storage, open_storage, storage_errors
from hpo.record.storage_url import sqlite_file
from hpo.space import SearchSpace


def create_ledger(where: Path | str, name: str, space: SearchSpace, identity: dict[str, Any]) -> Ledger:
    """Begin the record of a study.

    `where` is the path of the journal file, or the URL of an Optuna storage. `identity` is the `StudyFolder.identity`.
    Raises the errors of `open_storage`, a StudyError if the storage contains a study of this name
    already, and a MachineError if the storage fails.
    """
    with _opened(where, write=True) as (storage, journal):
        if name in {study.study_name for study in storage.get_all_studies()}:
            # A journal without events is left by a process that was killed before it wrote study.yaml. It is replaced.
            if journal is None or Ledger(storage, name, space, journal).history.events:
                raise _exists(where, name)
            storage.delete_study(storage.get_study_id_from_name(name))
        try:
            study = storage.create_new_study([StudyDirection.MINIMIZE], name)
        except DuplicatedStudyError:  # another process created it just now
            raise _exists(where, name) from None
        try:
            storage.set_study_user_attr(study, "origin", identity)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                optuna.load_study(study_name=name, storage=storage).set_metric_names([space.metric])
            return Ledger(storage, name, space, journal)
        except BaseException:
            with contextlib.suppress(Exception):
                storage.delete_study(study)
            raise


def open_ledger(where: Path | str, name: str, space: SearchSpace, *, write: bool) -> Ledger:
    """Open the record of a study that exists, under the name that it was begun with.

    Raises the errors of `open_storage`, a StudyError if the storage does not contain the study, and a
    MachineError if the storage fails.
    """
    with storage_errors():
        file = sqlite_file(where) if isinstance(where, str) else where
        if file is not None and not file.exists():
            moved = "; if it was moved, `hpo resume NAME --storage URL` records its new place"
            raise StudyError(
                f"{where}: the record of study {name!r} is not here{moved if isinstance(where, str) else ''}"
            )
    with _garbage_collection_paused(), _opened(where, write=write) as (storage, journal):
        names = [study.study_name for study in storage.get_all_studies()]
        if journal is not None and len(names) == 1:
            name = names[0]  # a journal has only one study, whatever the name of its folder is
        if name not in names:
            copied = "; `--storage` says where its record is, and copies nothing" if isinstance(where, str) else ""
            raise StudyError(f"{where}: holds no study {name!r}{copied}")
        return Ledger(storage, name, space, journal)


def _exists(where: Path | str, name: str) -> StudyError:
    return StudyError(f"{where}: holds a study {name!r} already: choose another name")


@contextmanager
def _opened(where: Path | str, *, write: bool) -> Iterator[tuple[BaseStorage, Journal | None]]:
    """Open a storage, and close it if an error is raised in the `with` block."""
    with storage_errors():
        storage, journal = open_storage(where, write=write)
        try:
            yield storage, journal
        except BaseException:
            close_storage(storage)
            if journal is not None:
                journal.close()
            raise


@contextmanager
def _garbage_collection_paused() -> Iterator[None]:
    """Pause Python's garbage collector, which looks through the millions of values of a long record again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

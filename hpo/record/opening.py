"""How the record of a study begins, and how one that exists is opened: a Ledger on its journal or storage."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection

from hpo.errors import StudyError
from hpo.record.ledger import Ledger
from hpo.record.storage import open_storage, sqlite_file, storage_errors
from hpo.space import SearchSpace


def create_ledger(where: Path | str, name: str, space: SearchSpace, identity: dict[str, Any]) -> Ledger:
    """Begin the record of a study.

    `where` is the path of the journal file, or the URL of an Optuna storage. `identity` is the `StudyFolder.identity`.
    Raises the errors of `open_storage`, a StudyError if the storage contains a study of this name
    already, and a MachineError if the storage fails.
    """
    with storage_errors():
        storage, journal = open_storage(where, write=True)
        if name in {study.study_name for study in storage.get_all_studies()}:
            ledger = Ledger(storage, name, space, journal)
            # A journal without events is left by a process that was killed before it wrote study.yaml. It is replaced.
            if ledger.history.events or journal is None:
                ledger.close()
                raise StudyError(f"{where}: holds a study {name!r} already: choose another name")
            storage.delete_study(storage.get_study_id_from_name(name))
        study = storage.create_new_study([StudyDirection.MINIMIZE], name)
        storage.set_study_user_attr(study, "origin", identity)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            optuna.load_study(study_name=name, storage=storage).set_metric_names([space.metric])
        return Ledger(storage, name, space, journal)


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
        storage, journal = open_storage(where, write=write)
        names = [study.study_name for study in storage.get_all_studies()]
        if journal is not None and len(names) == 1:
            name = names[0]  # a journal has only one study, whatever the name of its folder is
        if name not in names:
            raise StudyError(f"{where}: holds no study {name!r}")
        return Ledger(storage, name, space, journal)

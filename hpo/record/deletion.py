"""The deletion of a study that has no epoch, so that a search of another space may take its name."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from hpo.errors import StudyError
from hpo.record import files
from hpo.record.storage import delete_study
from hpo.record.study_folder import StudyFolder
from hpo.study_names import STUDY_FILE
from hpo.training import slots_file

SEARCH_FILES = (
    *(STUDY_FILE, files.DATA_FILE, files.EARLIER_FILE, files.LEDGER_FILE, slots_file.FILE),
    *(files.CHECKPOINTS, files.PREDICTIONS, *files.TABLES, *files.TRACKERS),
)
"""The files and folders that a search writes into the folder of its study."""


def delete_empty_study(folder: Path) -> None:
    """Delete the study in a folder if it has no epoch on record. Nothing happens if the folder contains no study."""
    if (folder / STUDY_FILE).exists():
        delete_if_empty(StudyFolder.reopen(folder))


def delete_if_empty(study: StudyFolder) -> None:
    """Delete a study if no epoch is on record."""
    if not study.is_empty():
        return
    if study.settings.storage is not None:
        with contextlib.suppress(StudyError):  # the record belongs to another folder, of which this is a copy
            study.ledger(write=True).close()
            delete_study(study.settings.storage, study.recorded_name)
    files.let_into_git(study.folder)
    for path in (study.folder / name for name in SEARCH_FILES):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

"""The deletion of a study that has no epoch, so that a search of another space may take its name."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from hpo.errors import StudyError
from hpo.record.files import DATA_FILE, EARLIER_FILE, LEDGER_FILE, STUDY_FILE, let_into_git
from hpo.record.storage import delete_study
from hpo.record.study_folder import StudyFolder


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
    for folder in (study.checkpoints, study.predictions):
        shutil.rmtree(folder, ignore_errors=True)
    let_into_git(study.folder)
    for name in (STUDY_FILE, DATA_FILE, EARLIER_FILE, LEDGER_FILE, "trials.csv", "best.csv"):
        (study.folder / name).unlink(missing_ok=True)

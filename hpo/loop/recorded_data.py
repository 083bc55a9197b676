"""The job of a study, with the parts of its data set that are on record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hpo.heldout import study_data
from hpo.heldout.study_data import StudyData
from hpo.loop.session import Notify
from hpo.record import Ledger, StudyFolder
from hpo.training.builder import Job


def job_on_recorded_data(
    study: StudyFolder, job: Job, ledger: Ledger, notify: Notify | None, *, skip_changed_files: bool
) -> Job:
    """The job with the parts that the study was begun on. A study without any epoch begins on the data of now."""
    if ledger.history.n_epochs == 0:
        recorded = study_data.record(job)
        study.write_data_record(recorded)
        return with_parts(job, recorded, notify)
    data = study_data.check(study, job, skip_changed_files=skip_changed_files)
    study.left_out = dict(data.left_out)
    _notify(notify, data.notes)
    return replace(job, manifest=data.for_search)


def with_parts(job: Job, recorded: Mapping[str, Any] | None, notify: Notify | None) -> Job:
    """The job with the parts of a record, without the held-out one. Its notes are given to `notify`."""
    if recorded is None:
        return job
    _notify(notify, recorded["notes"])
    return replace(job, manifest=StudyData(recorded["dataset"], {}).for_search)


def _notify(notify: Notify | None, notes: Sequence[str]) -> None:
    if notify is not None:
        for note in notes:
            notify(note)

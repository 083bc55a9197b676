"""The data and weights of a study: recorded when it begins, and checked before they are read again.

This is the look for broken and changed files. It lists the held-out files, reads their bytes, and tries to decode them.
It predicts and evaluates nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hpo.errors import StudyError
from hpo.record import DATA_FILE, StudyFolder, free_name
from hpo.training import Builder, Job
from hpo.training.random_states import unchanged_random_states

if TYPE_CHECKING:
    from trainables.assembly.recording import Change, Comparison

OPTION = "--skip-changed-files"
N_NAMED = 3
"""The largest number of files of one kind that an error names."""
PARTS = {"training": "to search with", "held_out": "held out", "pretraining": "to pretrain on"}


@dataclass(frozen=True)
class StudyData:
    """The parts of a study's data set, without the files that were left out."""

    manifest: Mapping[str, Any] | None
    """A `Manifest` as plain values. None if the task names no data set."""
    left_out: Mapping[str, int]
    """The number of files that were left out of each part. Parts without any are missing."""
    notes: tuple[str, ...] = ()
    """What the user should know, such as the number of files that were added later."""

    @property
    def for_search(self) -> Mapping[str, Any] | None:
        """The manifest without its held-out part."""
        return None if self.manifest is None else {**self.manifest, "held_out_part": None}


def record(job: Job) -> dict[str, Any] | None:
    """Record the data and weights of a study that begins. Returns None if its task names no data set.

    Its `notes` say what was done with rare classes, and how many files are left out.

    Raises a TaskError if the data set is missing or cannot be split, or if a held-out file cannot be read.
    """
    from trainables.data import heldout

    if job.space.task.dataset is None:
        return None
    with unchanged_random_states():
        return Builder(job, "cpu").record_data(heldout.held_out)


def digest(manifest: Mapping[str, Any] | None) -> str:
    """Return a SHA-256 of the parts of a data set. Two manifests of the same files have the same one."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def check(study: StudyFolder, job: Job, *, skip_changed_files: bool = False, with_held_out: bool = True) -> StudyData:
    """Check that the data and weights of a study are those that it was begun on, and return its parts.

    With `skip_changed_files`, files that changed are left out. Without `with_held_out`, the held-out part is neither
    checked nor returned. Files that were added later are in no part of the study: a note gives their number.

    Raises a StudyError if something else changed, if nothing of a part is left, or if the study has no record of its
    data. Raises a TaskError if the data set cannot be read.
    """
    from trainables.data import heldout
    from trainables.data.manifest import Manifest

    recorded = study.data_record()
    if recorded is None:
        return StudyData(None, {})
    try:
        Manifest.from_plain(recorded["dataset"])
    except (KeyError, TypeError, ValueError) as error:
        raise StudyError(
            f"study {study.name!r}: its {DATA_FILE} is damaged, or was written by another version: {error!r}"
        ) from None
    with unchanged_random_states():
        found = Builder(job, "cpu").compare_data(recorded, heldout.held_out if with_held_out else None)
    _check_cannot_be_skipped(study, found)
    changes = {name: changed for name, changed in found.files.items() if changed}
    if changes and not skip_changed_files:
        raise StudyError(_files_changed(study, [change for changed in changes.values() for change in changed]))
    dataset = recorded["dataset"] if with_held_out else {**recorded["dataset"], "held_out_part": None}
    is_new = found.n_new > 0 and with_held_out
    notes = (f"{_n_files(found.n_new, 'new')} not used by study {study.name!r}",) if is_new else ()
    return replace(_without(study, job, dataset, changes), notes=notes)


def left_out_words(left_out: Mapping[str, int]) -> str:
    """Describe the files that were left out: "2 changed files left out: 1 to search with, 1 held out"."""
    n = sum(left_out.values())
    parts = ", ".join(f"{count} {PARTS[part]}" for part, count in left_out.items())
    return f"{n} changed file{'s' * (n != 1)} left out: {parts}"


def _without(
    study: StudyFolder, job: Job, dataset: Mapping[str, Any], changes: Mapping[str, Sequence[Change]]
) -> StudyData:
    """The parts without the changed files. A StudyError if nothing of a part is left."""
    from trainables.data.manifest import Manifest

    if not changes:
        return StudyData(dataset, {})
    paths = {change.path for changed in changes.values() for change in changed}
    left = Manifest.from_plain(dataset).without(paths, job.data.absolute())
    if empty := left.empty_parts(job.space.task.validation.folds):
        raise StudyError(f"study {study.name!r}: without the changed files, nothing of its {empty[0]} part is left")
    return StudyData(left.to_plain(), {name: len(changed) for name, changed in changes.items()})


def _check_cannot_be_skipped(study: StudyFolder, found: Comparison) -> None:
    """Raise a StudyError if weights changed, or images that are in memory. They cannot be left out."""
    remedy = f"bring the old one back, or search under another name, such as {free_name(study.folder)!r}"
    for change in found.weights:
        raise StudyError(
            f"study {study.name!r}: its weights {change.path} were {change.what} since it was begun. Its trials "
            f"started from them, and checkpoints do not hold frozen layers: {remedy}"
        )
    for part in found.images:
        raise StudyError(f"study {study.name!r}: the images {PARTS[part]} differ from those it was begun on: {remedy}")


def _files_changed(study: StudyFolder, changes: Sequence[Change]) -> str:
    """The message about changed files: how many of each kind, the first of them, and what to type."""
    kinds = []
    for what in ("removed", "changed", "moved"):
        those = [change for change in changes if change.what == what]
        if those:
            names = [f"{change.path} (now {change.now})" if change.now else str(change.path) for change in those]
            rest = [f"and {len(names) - N_NAMED} more"] if len(names) > N_NAMED else []
            kinds.append(f"{_n_files(len(those), what)}: {', '.join([*names[:N_NAMED], *rest])}")
    return (
        f"study {study.name!r}: its data changed since it was begun\n"
        + "".join(f"  {kind}\n" for kind in kinds)
        + f"Bring the files back, or give {OPTION} each time, to go on without them "
        "(in Python: skip_changed_files=True)"
    )


def _n_files(n: int, what: str) -> str:
    """The number of files in words: "1 file was removed", "2 new files are"."""
    if what == "new":
        return f"{n} new file{'s' * (n != 1)} {'are' if n != 1 else 'is'}"
    return f"{n} file{'s' * (n != 1)} {'were' if n != 1 else 'was'} {what}"

"""Whether a search is new: comparing it with the study that a folder contains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo.errors import StudyError
from hpo.record.files import STUDY_FILE, command
from hpo.record.identity import differences, differing, free_name, identity
from hpo.record.settings import Settings
from hpo.record.study_folder import StudyFolder
from hpo.space import SearchSpace
from hpo.training.own_objective import objective_digest


def changed_parts(
    folder: Path, space: SearchSpace, settings: Settings, trainable_digest: str | None = None
) -> list[str] | None:
    """Return the keys of `identity` that differ from those of the study in a folder. None if it contains no study."""
    if not (folder / STUDY_FILE).exists():
        return None
    return differing(
        StudyFolder.reopen(folder).identity, identity(space, settings, trainable_digest, objective_digest(space))
    )


def check_is_new(folder: Path, wanted: Mapping[str, Any]) -> None:
    """Raise a StudyError if the folder contains a study already, unless that is another search without any epoch.

    `wanted` is the `identity` of the new search. The message says whether it is the same search. If it is not, the
    message gives a name that is still free.
    """
    if not (folder / STUDY_FILE).exists():
        return
    study = StudyFolder.reopen(folder)
    if changed := differences(study.identity, wanted):
        if not study.is_empty():
            raise StudyError(
                f"study {study.name!r} exists in {folder.parent}, with {changed}: "
                f"choose another name, such as {free_name(folder)!r}"
            )
        return
    raise StudyError(
        f"study {study.name!r} exists in {folder.parent}: `{command('resume', folder)}` goes on with it; "
        f"another search needs another name, such as {free_name(folder)!r}"
    )

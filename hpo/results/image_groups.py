"""That images come in groups, such as several of one patient: what the intervals make of it, in words."""

from __future__ import annotations

from hpo.errors import HpoError
from hpo.quantities import with_plural
from hpo.record import StudyFolder
from hpo.statistics import FEW_GROUPS


def group_lines(study: StudyFolder, n_groups: int | None, n_images: int) -> list[str]:
    """Return a line about the groups of the validation images of a study, or nothing if there are none.

    `n_groups` is the number of groups that the intervals take as independent, None if they take the images. Then the
    line says that they are too narrow, if the images come in groups all the same: earlier versions recorded none.
    """
    if n_groups == 1 < n_images:
        return [f"The {n_images:,} images are all of one group, which says nothing of other groups."]
    if n_groups is not None:
        groups = f"the {with_plural(n_groups, 'group')} of the {n_images:,} images"
        few = " So few say little about others: intervals and comparisons are rough." * (n_groups < FEW_GROUPS)
        return [] if n_groups == n_images else [f"The intervals take {groups} as independent.{few}"]
    found = _groups(study)
    return [_too_narrow(f"The images of the search {found}")] if found is not None else []


def held_out_group_lines(study: StudyFolder, n_groups: int | None, n_images: int) -> list[str]:
    """Return the line of `group_lines` about held-out images."""
    if n_groups is not None:
        return group_lines(study, n_groups, n_images)
    return [_too_narrow("These images come in groups")] if _groups(study) is not None else []


def _too_narrow(groups: str) -> str:
    return f"The intervals take images as independent. {groups}, so the intervals are too narrow."


def _groups(study: StudyFolder) -> str | None:
    """The groups of the images of the search in words. None without groups."""
    task = study.space.task
    try:
        record = study.data_record() or {}
    except HpoError:
        record = {}
    if "n_groups" in record:
        n_groups, n_images = record["n_groups"], len(record["dataset"]["assignment"]) if record["dataset"] else 0
        is_grouped = n_groups is not None and n_groups < n_images
        return f"({n_images:,}) are of {n_groups:,} groups" if is_grouped else None
    option = task.dataset.options.get("group") if task.dataset is not None else None
    is_named = task.validation.group is not None or option not in (None, "none")
    return "come in groups" if is_named else None

"""That images come in groups, such as several of one patient, which the intervals do not take into account."""

from __future__ import annotations

from hpo.errors import HpoError
from hpo.record import StudyFolder


def group_lines(study: StudyFolder, *, held_out: bool = False) -> list[str]:
    """Return a line that says that the intervals of a study are too narrow, if its images come in groups.

    The intervals resample images, as if each were independent of the others. With `held_out`, they are those of a test,
    on other images than those whose groups are on record.
    """
    found = _groups(study)
    if found is None:
        return []
    groups = "These images come in groups" if held_out else f"The images of the search {found}"
    return [f"The intervals take images as independent. {groups}, so the intervals are too narrow."]


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

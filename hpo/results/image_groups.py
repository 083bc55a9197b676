"""That images come in groups, such as several of one patient, which the intervals do not take into account."""

from __future__ import annotations

from hpo.errors import HpoError
from hpo.record import StudyFolder


def group_lines(study: StudyFolder) -> list[str]:
    """Return a line that says that the intervals of a study are too narrow, if its images come in groups.

    The intervals resample images, as if each were independent of the others.
    """
    found = _groups(study)
    if found is None:
        return []
    return [f"The intervals take images as independent. These {found}, so the intervals are too narrow."]


def _groups(study: StudyFolder) -> str | None:
    """The groups of the training part in words. None without groups."""
    task = study.space.task
    try:
        record = study.data_record() or {}
    except HpoError:
        record = {}
    if "n_groups" in record:
        n_groups, n_images = record["n_groups"], len(record["dataset"]["assignment"]) if record["dataset"] else 0
        is_grouped = n_groups is not None and n_groups < n_images
        return f"{n_images:,} images are of {n_groups:,} groups" if is_grouped else None
    option = task.dataset.options.get("group") if task.dataset is not None else None
    is_named = task.validation.group is not None or option not in (None, "none")
    return "images come in groups" if is_named else None

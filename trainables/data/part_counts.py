"""The line that says how many images stand in which part of a data set, from which folder, and what is not used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trainables.data import dataset_report
from trainables.data.dataset import DataSet, Files, Source

FEW_GROUPS = 10
"""With fewer validation groups, the intervals of a study are unsure themselves."""


def line(
    dataset: DataSet,
    assignment: Sequence[int],
    held_out: Source | None,
    n_folds: int | None,
    unmerged: str | None = None,
    groups: Sequence[str] = (),
) -> str:
    """Return the line about the parts of a search.

    `assignment` is the split of its images: see `trainables.data.splits.Assignment`. `held_out` is None if nothing is
    held out. `unmerged` says what `merged_classes` leaves out: see `merged_classes.describe_unmerged`.
    `groups` are those of the images, if they have groups.
    """
    if n_folds is not None:
        counts = {"train": f"{len(assignment)} in {n_folds} folds{_in_groups(groups)}"}
    else:
        n_validation = sum(assignment)
        n_groups = _in_groups(_validating(assignment, groups))
        counts = {
            "train": f"{len(assignment) - n_validation} train",
            "validation": f"{n_validation} validation{n_groups}",
        }
    text = _line(dataset, counts, held_out)
    return text if unmerged is None else f"{text}; {unmerged}"


def few_groups(assignment: Sequence[int], groups: Sequence[str], n_folds: int | None) -> str | None:
    """Return a note if few groups validate, None otherwise. The arguments are those of `line`."""
    n = len(set(groups if n_folds is not None else _validating(assignment, groups)))
    if not 0 < n < FEW_GROUPS:
        return None
    return (
        f"only {n} group{'s validate' if n > 1 else ' validates'}: intervals on validation images will be wide, and "
        f"unsure below {FEW_GROUPS} groups"
    )


def group_names(source: Source | None) -> tuple[str, ...]:
    """Return the group of each image of a part. Empty without groups, or without a part."""
    return source.groups if isinstance(source, Files) else ()


def _validating(assignment: Sequence[int], groups: Sequence[str]) -> list[str]:
    """The groups of the validation images of a split without folds. Empty without groups."""
    return [group for group, number in zip(groups, assignment, strict=bool(groups)) if number]


def _in_groups(groups: Sequence[str]) -> str:
    """The number of groups, in brackets. Empty without groups."""
    n = len(set(groups))
    return f" ({n} group{'s' * (n != 1)})" if n else ""


def line_without_split(dataset: DataSet, searched: Source, held_out: Source | None) -> str:
    """Return the line about the parts of a data set that is not split for a search."""
    validation: Source | None = getattr(dataset, "validation", lambda: None)()
    if validation is None:
        return _line(dataset, {"train": f"{len(searched)} to search with{_in_groups(group_names(searched))}"}, held_out)
    n_train = len(searched) - len(validation)
    validates = f"{len(validation)} validation{_in_groups(group_names(validation))}"
    return _line(dataset, {"train": f"{n_train} train", "validation": validates}, held_out)


def _line(dataset: DataSet, counts: Mapping[str, str], held_out: Source | None) -> str:
    words = {**counts, "test": "none held out" if held_out is None else f"{len(held_out)} held out"}
    folders: Mapping[str, str] = getattr(dataset, "part_folders", {})
    used = {folders[part] for part in words if part in folders and not (part == "test" and held_out is None)}
    if len(used) < 2:
        text = f"{', '.join(words.values())}{''.join(f' (from {folder})' for folder in used)}"
    else:
        shown = {part: f" ({folders[part]})" for part in folders if part != "test" or held_out is not None}
        text = ", ".join(words[part] + shown.get(part, "") for part in words)
    not_used = dataset_report.not_used(getattr(dataset, "left_out", ()))
    return f"images: {text}" if not_used is None else f"images: {text}; {not_used}"

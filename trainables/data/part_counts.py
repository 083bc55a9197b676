"""The line that says how many images stand in which part of a data set, from which folder, and what is not used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trainables.data import dataset_report
from trainables.data.dataset import DataSet, Source


def line(
    dataset: DataSet,
    assignment: Sequence[int],
    held_out: Source | None,
    n_folds: int | None,
    unmerged: str | None = None,
) -> str:
    """Return the line about the parts of a search.

    `assignment` is the split of its images: see `trainables.data.splits.Assignment`. `held_out` is None if nothing is
    held out. `unmerged` says what `merged_classes` leaves out: see `merged_classes.describe_unmerged`.
    """
    if n_folds is not None:
        counts = {"train": f"{len(assignment)} in {n_folds} folds"}
    else:
        n_validation = sum(assignment)
        counts = {"train": f"{len(assignment) - n_validation} train", "validation": f"{n_validation} validation"}
    text = _line(dataset, counts, held_out)
    return text if unmerged is None else f"{text}; {unmerged}"


def line_without_split(dataset: DataSet, searched: Source, held_out: Source | None) -> str:
    """Return the line about the parts of a data set that is not split for a search."""
    validation: Source | None = getattr(dataset, "validation", lambda: None)()
    if validation is None:
        return _line(dataset, {"train": f"{len(searched)} to search with"}, held_out)
    n_train = len(searched) - len(validation)
    return _line(dataset, {"train": f"{n_train} train", "validation": f"{len(validation)} validation"}, held_out)


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

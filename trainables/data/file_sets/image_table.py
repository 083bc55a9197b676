"""A table of image files with their labels, and optionally their parts and groups, becomes a data set."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from trainables.data import splits
from trainables.data.dataset import Files
from trainables.data.file_sets.file_set import FileSet, hold_out
from trainables.data.file_sets.grouping import check_apart, groups_of
from trainables.data.file_sets.options import SplitOptions
from trainables.errors import SetupError, printable

PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
"""What the parts of a data set are often called, in lower case, and the part that is meant."""
PARTS = ("train", "validation", "test")
PART_WORDS = {"train": "training", "validation": "validation", "test": "held-out"}
"""What messages call the parts."""


def part_of(name: str) -> str | None:
    """Return the part that a name stands for in any case: train, validation or test. None if it stands for none."""
    return PART_NAMES.get(name.strip().lower())


def in_order(labels: set[str]) -> list[str]:
    """Return the classes: sorted, or by their values if all are whole numbers."""
    are_numbers = all(label.isdecimal() for label in labels)
    return sorted(labels, key=lambda label: (int(label) if are_numbers else 0, label))


@dataclass(frozen=True)
class ImageTable:
    """A table of image files: one row for each. Raises SetupError if the columns differ in their lengths."""

    paths: Sequence[str | Path]
    labels: Sequence[str]
    """The name of the class of each file."""
    splits: Sequence[str] | None = None
    """The part of each file: train, validation or test, or another name of `PART_NAMES`. None to cut the parts."""
    groups: Sequence[str] | None = None
    """The group of each file, such as its patient. Files of one group stay in one part. None without groups."""
    folder: Path | None = None
    """The folder that `paths` are relative to. None for absolute paths, or paths in the working directory.

    A study knows a file by its path below this folder, so the folder can be moved.
    """

    def __post_init__(self) -> None:
        for name in ("labels", "splits", "groups"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self.paths):
                raise SetupError(f"there are {len(self.paths)} paths, but {len(column)} {name}")


def from_files(
    name: str,
    table: ImageTable,
    *,
    classes: Sequence[str] | None = None,
    options: SplitOptions | None = None,
) -> FileSet:
    """Return the data set of a table of image files. No file is read.

    With a column `splits`, its parts are used. A validation part becomes that of the search. Without a part `test`, a
    share of each other part is held out, drawn by the seed: see `SplitOptions`. In each part, files are sorted by
    class, by their name without its folders, and by their path.

    `name` is that of the data set, for messages. `classes` are the names of the classes in the order of their labels;
    by default, they are the sorted labels of the table.

    Raises SetupError if a file is missing or listed twice; if a label is empty or unknown, or a class has no
    image in a part; if there are fewer than two classes; if a part has an unknown name, or if there are no training
    files; if a group has images in two parts; or if there is a part `test` and `options` ask for a cut.
    """
    options = options or SplitOptions()
    paths = _paths(name, table)
    classes = _classes(name, table.labels, paths, classes)
    groups = _groups(name, table, paths, options)
    index = {label: i for i, label in enumerate(classes)}
    labels = torch.tensor([index[label] for label in table.labels])
    whole = Files(paths, labels, folder=table.folder, groups=groups)
    rows = _rows_of_parts(name, table, paths)
    parts = {part: whole.take(own) for part, own in rows.items()}
    parts = {part: files.take(splits.sorted_by_name(files)) for part, files in parts.items()}
    _check_parts(name, parts, classes)
    found = FileSet(
        name,
        tuple(map(printable, classes)),
        parts["train"],
        parts.get("test"),
        parts.get("validation"),
        options.checked().rare_classes,
    )
    return _cut_or_given(found, options)


def _cut_or_given(found: FileSet, options: SplitOptions) -> FileSet:
    """Hold a share out, unless there is a held-out part or nothing is to be held out."""
    if found.files_held_out is not None:
        for option, value in (("held_out", options.held_out_fraction), ("seed", options.seed)):
            if value is not None:
                raise SetupError(
                    f"`dataset.{option}` must not be given: data set {found.name!r} has a held-out part of its own"
                )
        return found
    cut = options.checked()
    if cut.fraction is None:
        return found
    return hold_out(found, fraction=cut.fraction, seed=cut.seed, rare_classes=cut.rare_classes)


def _paths(name: str, table: ImageTable) -> tuple[Path, ...]:
    """The path of each file. A SetupError if there is none, if one is missing, or if one is listed twice."""
    paths = tuple((table.folder or Path()) / path for path in table.paths)
    if not paths:
        raise SetupError(f"data set {name!r}: there is no image")
    seen: set[str] = set()
    for path in paths:
        normal = os.path.abspath(path)
        if normal in seen:
            raise SetupError(f"data set {name!r}: {path} is listed twice")
        seen.add(normal)
        if not path.is_file():
            raise SetupError(f"data set {name!r}: there is no file {path}")
    return paths


def _classes(name: str, labels: Sequence[str], paths: Sequence[Path], given: Sequence[str] | None) -> tuple[str, ...]:
    """The names of the classes. A SetupError if a label is no name or unknown, or if there are fewer than two."""
    for label, path in zip(labels, paths, strict=True):
        if not isinstance(label, str) or not label:
            raise SetupError(f"data set {name!r}: the label of {path} must be a name, but is {label!r}")
    present = set(labels)
    classes = tuple(sorted(present) if given is None else given)
    known = set(classes)
    for label, path in zip(labels, paths, strict=True):
        if label not in known:
            raise SetupError(
                f"data set {name!r}: {path} has the label {label!r}, which is no class{_nearest(label, classes)}"
            )
    if len(set(classes)) < len(classes):
        raise SetupError(f"data set {name!r}: a class is listed twice in {', '.join(classes)}")
    for each in classes:
        if each not in present:
            raise SetupError(f"data set {name!r}: class {each!r} has no image")
    if len(classes) < 2:
        raise SetupError(f"data set {name!r}: all images are of class {classes[0]!r}; at least two classes are needed")
    return classes


def _groups(name: str, table: ImageTable, paths: Sequence[Path], options: SplitOptions) -> tuple[str, ...]:
    """The group of each file. Empty without groups."""
    if table.groups is None:
        return () if options.group is None else groups_of(paths, str(options.group))
    for group, path in zip(table.groups, paths, strict=True):
        if not isinstance(group, str) or not group:
            raise SetupError(f"data set {name!r}: the group of {path} must be a name, but is {group!r}")
    return tuple(table.groups)


def _rows_of_parts(name: str, table: ImageTable, paths: Sequence[Path]) -> dict[str, list[int]]:
    """The rows of each part that has files. All rows are of the part train if the table has no splits."""
    if table.splits is None:
        return {"train": list(range(len(paths)))}
    rows: dict[str, list[int]] = {part: [] for part in PARTS}
    for i, (split, path) in enumerate(zip(table.splits, paths, strict=True)):
        part = part_of(split) if isinstance(split, str) else None
        if part is None:
            raise SetupError(
                f"data set {name!r}: the split of {path} must be train, validation or test, but is {split!r}"
                f"{_nearest(str(split).lower(), PART_NAMES)}"
            )
        rows[part].append(i)
    if not rows["train"]:
        raise SetupError(f"data set {name!r}: no image is of the split train")
    return {part: own for part, own in rows.items() if own}


def _check_parts(name: str, parts: dict[str, Files], classes: Sequence[str]) -> None:
    """Raise SetupError if a class has no image in a part, or if a group has images in two parts."""
    for part, files in parts.items():
        if lacking := splits.rare(files, classes, 1):
            without = "" if part == "train" else ", or leave this part out"
            raise SetupError(
                f"data set {name!r}: class {next(iter(lacking))!r} has no image in the {PART_WORDS[part]} part; "
                f"add images of it{without}"
            )
    check_apart(name, {PART_WORDS[part]: files for part, files in parts.items()})


def _nearest(name: str, known: Sequence[str] | dict[str, str]) -> str:
    """A hint at the nearest known name. Empty if none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""

"""Groups of image files, found by their folders or by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from trainables.data.dataset import DataSet, Files, Source
from trainables.errors import SetupError, printable

CHOOSE_OTHER_GROUPS = (
    "choose another `group`, or use a data set with the option `group`, such as image_folder: it cuts its held-out "
    "part by groups"
)
"""What to do if the parts of a data set that knows no groups divide a group."""

GROUP_KEY = "task.validation.group"
"""Where a space says how the files of any data set are grouped."""
FOLDER = "folder"
"""The value of `group` that takes the folder of each file as its group."""


def groups_of(paths: Sequence[Path], group: str, *, key: str = "dataset.group") -> tuple[str, ...]:
    """Return the group of each file.

    If `group` is "folder", it is the name of the folder that the file lies in. Folders of the same name are one group,
    wherever they lie. Otherwise `group` is a regular expression, which is searched in the name of the file without its
    folders. The group of a file is then what the first group of the expression matches, or the whole match if the
    expression has no group.

    Raises SetupError if the expression is not valid, or if it does not match a file. The message names the file and
    `key`, the place of the expression in a space.
    """
    if group == FOLDER:
        return tuple(path.absolute().parent.name for path in paths)
    try:
        expression = re.compile(group)
    except re.error as error:
        raise SetupError(
            f"`{key}` must be `folder` or a regular expression on the names of the files, but {group!r} is neither: "
            f"{error}"
        ) from None
    return tuple(_matched(expression, path, key) for path in paths)


def _matched(expression: re.Pattern[str], path: Path, key: str) -> str:
    match = expression.search(path.name)
    found = None if match is None else match[1] if expression.groups else match[0]
    if not found:
        raise SetupError(f"`{key}`: {expression.pattern!r} matches nothing in the name of {printable(str(path))}")
    return found


def check_apart(
    name: str, parts: Mapping[str, Files], remedy: str = "move its images into one part, or correct its name"
) -> None:
    """Raise SetupError if a group has files in two of the parts.

    `name` is that of the data set. `remedy` says what to do, in words for the user.
    """
    part_of: dict[str, tuple[str, Path]] = {}
    for part, files in parts.items():
        for group, path in zip(files.groups, files.paths, strict=bool(files.groups)):
            other, first = part_of.setdefault(group, (part, path))
            if other != part:
                raise SetupError(
                    f"data set {name!r}: group {group!r} has images in two parts, {other} ({first.name}) and {part} "
                    f"({path.name}); {remedy}"
                )


def with_groups(dataset: DataSet, group: str) -> DataSet:
    """Return the data set with the groups that `groups_of` finds. Its parts stay as they are.

    Methods that return parts raise SetupError if the images are in memory. `validation` and `held_out` raise it if a
    group has images in two parts.
    """
    return _Grouped(dataset, group)


class _Grouped:
    """A data set whose files have groups."""

    def __init__(self, dataset: DataSet, group: str) -> None:
        self._dataset = dataset
        self._group = group
        self.name = dataset.name
        self.classes = dataset.classes
        for optional in ("rare_classes", "notes", "left_out", "part_folders"):
            if hasattr(dataset, optional):
                setattr(self, optional, getattr(dataset, optional))

    def training(self) -> Files:
        return self._with_groups(self._dataset.training())

    def validation(self) -> Files | None:
        part: Source | None = getattr(self._dataset, "validation", lambda: None)()
        if part is None:
            return None
        validation = self._with_groups(part)
        check_apart(self.name, {"training": self.training(), "validation": validation}, CHOOSE_OTHER_GROUPS)
        return validation

    def held_out(self) -> Files | None:
        found = self._dataset.held_out()
        if found is None:
            return None
        held_out = self._with_groups(found)
        searched = {"training": self.training(), "validation": self.validation()}
        parts = {name: part for name, part in searched.items() if part is not None}
        check_apart(self.name, {**parts, "held-out": held_out}, CHOOSE_OTHER_GROUPS)
        return held_out

    def _with_groups(self, source: Source) -> Files:
        if not isinstance(source, Files):
            raise SetupError(
                f"`{GROUP_KEY}`: the images of data set {self.name!r} are in memory, so they have no files "
                "whose names or folders could be groups"
            )
        return replace(source, groups=groups_of(source.paths, self._group, key=GROUP_KEY))

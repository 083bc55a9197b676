"""Building a data set from its module, with clear errors for data sets in code of the user."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainables.data.dataset import DataSet, Files, LeftOut, Part, Source
from trainables.data.file_sets import GROUP_KEY, with_groups
from trainables.data.splits import RARE_CLASSES
from trainables.errors import SetupError, WrongValue, line_in, reason
from trainables.hyperparameters import Scalar

BUNDLED = "trainables.datasets."


def build_dataset(
    plugin: Any,
    root: Path,
    options: Mapping[str, Scalar],
    *,
    group: str | None = None,
    looked_in: Sequence[str] = (),
) -> DataSet:
    """Build a data set. `plugin` is its module, `root` the folder of all data sets.

    `group` says which images belong together: see `trainables.data.file_sets.groups_of`. It becomes an option if the
    data set declares one of this name, so that its held-out part keeps groups together too. The files of any other
    data set get their groups afterwards.

    An option that the module declares in PATHS may be a path in `root`. `looked_in` are the folders in which it was
    looked up before.

    Raises SetupError if there is no file or folder at such a relative path, if code of the user raises an error, or if
    it returns something else than a data set. The message gives the file and the line.
    """
    check_paths(plugin, root, options, looked_in)
    declares_group = "group" in getattr(plugin, "OPTIONS", ())
    if group is not None and declares_group:
        options = {**options, "group": group}
    is_bundled = plugin.__name__.startswith(BUNDLED)
    file = str(getattr(plugin, "__file__", None) or plugin.__name__)
    dataset: DataSet
    if is_bundled:
        try:
            dataset = plugin.build(root, **options)
        except SetupError as error:
            if group is None:
                raise
            raise SetupError(str(error).replace("`dataset.group`", f"`{GROUP_KEY}`")) from None  # as the user wrote it
    else:
        built: DataSet = _run(file, lambda: plugin.build(root, **options))
        if problem := _run(file, lambda: _problem(built) or _optional_problem(built)):
            raise SetupError(f"{file}: what `build` returns {problem}")
        dataset = _OwnDataSet(built, file)
    return dataset if group is None or declares_group else with_groups(dataset, group)


def check_paths(plugin: Any, root: Path, options: Mapping[str, Scalar], looked_in: Sequence[str]) -> None:
    """Raise SetupError if an option of a data set is a relative path at which there is no file or folder in `root`.

    The message also names the folders `looked_in`.
    """
    for option in getattr(plugin, "PATHS", ()):
        value = options.get(option)
        if not isinstance(value, str) or not value or (root / os.path.expanduser(value)).exists():
            continue
        if not os.path.isabs(os.path.expanduser(value)):
            folders = [f"{', '.join(looked_in)} or "] if looked_in else []
            where = f"{''.join(folders)}the folder of all data sets ({root})"
            raise SetupError(f"`dataset.{option}`: there is no {value!r} in {where}")


class _OwnDataSet:
    """A data set in code of the user. Each error in its methods becomes a SetupError with the line."""

    def __init__(self, dataset: DataSet, file: str) -> None:
        self._dataset = dataset
        self._file = file
        self.name = dataset.name
        self.classes = tuple(dataset.classes)

    def __getattr__(self, name: str) -> Any:
        """Return an optional attribute, such as `notes`."""
        return getattr(self._dataset, name)

    def training(self) -> Source:
        part = self._part("training")
        if part is None:
            raise SetupError(f"{self._file}: `training` must return a Part or Files, but returns None")
        return part

    def validation(self) -> Source | None:
        return self._part("validation") if hasattr(self._dataset, "validation") else None

    def held_out(self) -> Source | None:
        return self._part("held_out")

    def _part(self, method: str) -> Source | None:
        part = _run(self._file, getattr(self._dataset, method))
        if not isinstance(part, Part | Files | None):
            raise SetupError(
                f"{self._file}: `{method}` must return a Part or Files, but returns a {type(part).__name__}"
            )
        if part is not None and (problem := self._label_problem(part)):
            raise SetupError(f"{self._file}: what `{method}` returns {problem}")
        return part

    def _label_problem(self, part: Source) -> str | None:
        """Say what is wrong with the labels of a part. Returns None if nothing is."""
        low, high, last = int(part.labels.min()), int(part.labels.max()), len(self.classes) - 1
        if low < 0 or high > last:
            return f"has the label {low if low < 0 else high}, but there are {last + 1} classes: labels are 0 to {last}"
        return None


def _run(file: str, function: Callable[[], Any]) -> Any:
    """Run a function of the user's code. A SetupError gives the line of `file` at which it raised an error.

    `sys.exit()` is an error too, because it would end the program without a message.
    """
    try:
        return function()
    except (SetupError, WrongValue, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise SetupError(f"{file}:{line_in(file, error)}: {type(error).__name__}: {reason(error)}") from error


def _problem(dataset: object) -> str | None:
    """Say what is wrong with an object that should be a data set. Returns None if nothing is found."""
    if not isinstance(getattr(dataset, "name", None), str):
        return "must have the attribute `name`, a text"
    classes = getattr(dataset, "classes", None)
    if not isinstance(classes, tuple | list) or not all(isinstance(each, str) for each in classes):
        return f"must have the attribute `classes`, a tuple of names, but it is {classes!r}"
    if len(classes) < 2:
        return f"must have two classes or more, but has {len(classes)}"
    repeated = [each for each in classes if list(classes).count(each) > 1]
    if repeated:
        return f"has two classes of one name: {repeated[0]!r}"
    if not all(callable(getattr(dataset, method, None)) for method in ("training", "held_out")):
        return "must have the methods `training` and `held_out`"
    return None


def _optional_problem(dataset: object) -> str | None:
    """Say what is wrong with the optional attributes of a data set. Returns None if nothing is found."""
    rare_classes = getattr(dataset, "rare_classes", None)
    if rare_classes is not None and rare_classes not in RARE_CLASSES:
        return f"has `rare_classes` {rare_classes!r}; it must be None or one of {', '.join(RARE_CLASSES)}"
    for name, kind, words in (("notes", str, "texts"), ("left_out", LeftOut, "LeftOut objects")):
        content = getattr(dataset, name, ())
        if not isinstance(content, tuple | list) or not all(isinstance(each, kind) for each in content):
            return f"has `{name}` {content!r}; it must be a tuple of {words}"
    folders = getattr(dataset, "part_folders", {})
    return None if isinstance(folders, Mapping) else f"has `part_folders` {folders!r}; it must be a dictionary"

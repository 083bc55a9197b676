"""The data set of a task: its name, its options, its merged classes, its files, and the Python file of its code."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hpo.space import rules
from hpo.space.python_file import python_file
from hpo.space.rules import raise_problems
from hpo.trial import Scalar


@dataclass(frozen=True)
class DatasetSpec:
    """A data set: its name, its options and its merged classes."""

    name: str
    """The name of a plug-in, `package.module` for your own module, or the name or path of your own Python file."""
    options: Mapping[str, Scalar] = field(default_factory=dict)
    """Keyword arguments for the `build` function of the data set."""
    merged_classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The new classes, each with the names of the old classes that it joins. If empty, the classes stay as they are."""
    file: str | None = field(default=None, compare=False)
    """The absolute path of the Python file of the data set, if it is a file of your own."""
    paths: Mapping[str, str] = field(default_factory=dict, compare=False)
    """The absolute path of each option that is a relative path and was found by `with_paths`."""
    looked_in: tuple[str, ...] = field(default=(), compare=False)
    """The folders in which `with_paths` looked for relative paths, for messages."""

    def __post_init__(self) -> None:
        raise_problems(rules.data_problems(vars(self)))
        object.__setattr__(self, "options", dict(self.options))
        object.__setattr__(self, "merged_classes", {name: tuple(names) for name, names in self.merged_classes.items()})

    @property
    def plugin(self) -> str:
        """What the code of the data set is loaded by: the path of its file, or its name."""
        return self.file or self.name

    def located(self, *folders: Path) -> DatasetSpec:
        """Return the data set with the absolute path of its file, if it is a Python file in one of `folders`.

        The first folder that contains the file counts. Otherwise the data set is returned as it is.
        """
        file = python_file(self.name, folders)
        return self if file is None else replace(self, file=file)

    def with_paths(self, options: Collection[str], *folders: Path) -> DatasetSpec:
        """Return the data set with the absolute paths of those `options` that are relative paths in one of `folders`.

        The first folder that contains the file or folder counts. Paths that were found before stay.
        """
        found = dict(self.paths)
        for option in options:
            value = self.options.get(option)
            if option in found or not isinstance(value, str) or not value or os.path.isabs(os.path.expanduser(value)):
                continue
            path = next((path for folder in folders if (path := folder / value).exists()), None)
            if path is not None:
                found[option] = str(path.absolute())
        looked_in = dict.fromkeys((*self.looked_in, *(str(folder.absolute()) for folder in folders)))
        return replace(self, paths=found, looked_in=tuple(looked_in))

    def relocated(self, file: str | None, paths: Mapping[str, str]) -> DatasetSpec:
        """Return the data set with the paths that `located` and `with_paths` found before.

        If a file was moved, the working directory is looked through.
        """
        found = self
        if file is not None:
            found = found if Path(file).is_file() else found.located(Path())
            found = replace(found, file=file) if found is self else found
        here = found.with_paths([option for option, path in paths.items() if not Path(path).exists()], Path())
        return replace(here, paths={**paths, **here.paths})

    def to_dict(self, *, absolute: bool = False) -> str | dict[str, Any]:
        """The data set in the form of a space file. Without options and merged classes, this is just its name.

        With `absolute`, the name is the absolute path of the data set's Python file, if it has one.
        """
        content: dict[str, Any] = {"name": self.plugin if absolute else self.name, **self.options}
        if self.merged_classes:
            content["merged_classes"] = {name: list(names) for name, names in self.merged_classes.items()}
        return content if len(content) > 1 else self.name

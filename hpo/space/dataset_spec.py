"""The data set of a task: its name, its options, its groups of classes, and the Python file of its code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hpo.space import rules
from hpo.space.rules import raise_problems
from hpo.trial import Scalar


@dataclass(frozen=True)
class DatasetSpec:
    """A data set: its name, its options and its groups of classes."""

    name: str
    """The name of a plug-in, `package.module` for your own module, or the name or path of your own Python file."""
    options: Mapping[str, Scalar] = field(default_factory=dict)
    """Keyword arguments for the `build` function of the data set."""
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The new classes, each with the names of the old classes that it joins. If empty, the classes stay as they are."""
    file: str | None = field(default=None, compare=False)
    """The absolute path of the Python file of the data set, if it is a file of your own."""

    def __post_init__(self) -> None:
        raise_problems(rules.data_problems(vars(self)))
        object.__setattr__(self, "options", dict(self.options))
        object.__setattr__(self, "groups", {group: tuple(names) for group, names in self.groups.items()})

    @property
    def plugin(self) -> str:
        """What the code of the data set is loaded by: the path of its file, or its name."""
        return self.file or self.name

    @property
    def file_name(self) -> str | None:
        """The name or path that the data set has as a Python file. None if its name stands for no file."""
        if self.name.endswith(".py"):
            return self.name
        return f"{self.name}.py" if self.name.isidentifier() else None

    def located(self, *folders: Path) -> DatasetSpec:
        """Return the data set with the absolute path of its file, if it is a Python file in one of `folders`.

        The first folder that contains the file counts. Otherwise the data set is returned as it is.
        """
        name = self.file_name
        found = next((path for folder in folders if name and (path := folder / name).is_file()), None)
        return self if found is None else replace(self, file=str(found.absolute()))

    def relocated(self, recorded: str) -> DatasetSpec:
        """Return the data set with the path of its file that `located` found before.

        If that file was moved, the working directory is looked through.
        """
        found = self if Path(recorded).is_file() else self.located(Path())
        return replace(self, file=recorded) if found is self else found

    def to_dict(self, *, absolute: bool = False) -> str | dict[str, Any]:
        """The data set in the form of a space file. Without options and groups, this is just its name.

        With `absolute`, the name is the absolute path of the data set's Python file, if it has one.
        """
        content: dict[str, Any] = {"name": self.plugin if absolute else self.name, **self.options}
        if self.groups:
            content["groups"] = {group: list(names) for group, names in self.groups.items()}
        return content if len(content) > 1 else self.name

"""Names that may stand for a Python file of the user: that of a data set, and that of the module of an objective."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def python_file_name(name: str) -> str | None:
    """Return the name or path that `name` has as a Python file: itself, or with `.py`. None if it stands for none."""
    if name.endswith(".py"):
        return name
    return f"{name}.py" if name.isidentifier() else None


def python_file(name: str, folders: Iterable[Path]) -> str | None:
    """Return the absolute path of the Python file that `name` stands for. The first of `folders` that has it counts.

    Returns None if there is none.
    """
    file = python_file_name(name)
    found = next((path for folder in folders if file and (path := folder / file).is_file()), None)
    return None if found is None else str(found.absolute())

"""Data sets whose code is a Python file of the user: finding the file, and its errors. `python_files` loads it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from hpo.errors import UnknownName
from hpo.plugins import python_files
from hpo.space import DatasetSpec
from hpo.space.python_file import python_file_name


def located(data: DatasetSpec, folders: Sequence[Path], known: Collection[str]) -> DatasetSpec:
    """Return the data set with the path of its file, if it is a Python file in one of `folders`.

    The first folder that contains the file counts. A data set whose name is in `known`, the names of the plug-ins, is
    returned as it is. So is one whose file was found before.
    """
    if data.name in known or data.file is not None:
        return data
    return data.located(*folders)


def ambiguity(data: DatasetSpec, folders: Sequence[Path], module: str | None) -> str | None:
    """Return the problem of a name that stands both for a plug-in and for a file in one of `folders`, in words.

    `module` is the file of the plug-in. Returns None if there is no such problem.
    """
    file = data.located(*folders).file
    if file is None or not _defines_build(Path(file)) or (module is not None and Path(file).samefile(module)):
        return None
    return f"{data.name!r} is a data set of this installation, and the file {file} has its name: rename the file"


def unknown(data: DatasetSpec, folders: Sequence[Path], known: Collection[str]) -> UnknownName:
    """Return the error for a data set that is neither a plug-in nor a Python file in one of `folders`."""
    own = {path.stem for folder in folders for path in python_files.files_in(folder) if _defines_build(path)}
    error = UnknownName("dataset", data.name, {*known, *own}, listed_by=["hpo describe dataset"])
    if folders and (name := python_file_name(data.name)):
        hint = f"there is no file {name} in {python_files.in_words(folders)}"
    else:
        hint = "a module of your own is named package.module"
    error.args = (f"{error}; {hint}",)
    return error


def _defines_build(path: Path) -> bool:
    """Whether a Python file seems to define a function `build`, as a data set does."""
    try:
        return b"\ndef build(" in b"\n" + path.read_bytes().replace(b"\r", b"\n")
    except OSError:
        return False

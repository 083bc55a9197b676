"""Data sets whose code is a Python file of the user: finding the file, loading it, and the errors of both."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from types import ModuleType

from hpo.errors import UnknownName, UserError, line_in, reason
from hpo.space import DatasetSpec


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
    own = {path.stem for folder in folders for path in _python_files(folder)}
    error = UnknownName("dataset", data.name, {*known, *own})
    if folders and data.file_name:
        here = Path().absolute()
        looked = ("the working directory" if each == here else str(each) for each in map(Path.absolute, folders))
        hint = f"there is no file {data.file_name} in {' or '.join(dict.fromkeys(looked))}"
    else:
        hint = "a module of your own is named package.module"
    error.args = (f"{error}; {hint}",)
    return error


def load(path: Path) -> ModuleType:
    """Import a Python file. It may import modules that lie in its folder.

    Raises UserError with the line if the file raises an error, or if it calls `sys.exit()`. Raises ModuleNotFoundError
    if a module that it needs is not installed.
    """
    # The name must differ from all names of modules: a file `random.py` must not replace the module `random`.
    name = f"hpo_data_set_{path.stem}_{hashlib.sha256(bytes(path)).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "the suffix is .py"
    assert spec.loader is not None, "the suffix is .py"
    module = importlib.util.module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError:
        del sys.modules[name]
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UserError(f"{path}:{line_in(str(path), error)}: {type(error).__name__}: {reason(error)}") from error
    return module


def _python_files(folder: Path) -> list[Path]:
    """The Python files in a folder that define a function `build`. Empty if the folder cannot be listed."""
    try:
        return [path for path in sorted(folder.glob("*.py")) if _defines_build(path)]
    except OSError:
        return []


def _defines_build(path: Path) -> bool:
    """Whether a Python file seems to define a function `build`, as a data set does."""
    try:
        return b"\ndef build(" in b"\n" + path.read_bytes().replace(b"\r", b"\n")
    except OSError:
        return False

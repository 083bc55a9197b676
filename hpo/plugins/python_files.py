"""Python files of the user that need not lie on `sys.path`, such as a data set: listing and importing them."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from hpo.errors import UserError, line_in, reason


def load(path: Path) -> ModuleType:
    """Import a Python file. It may import modules that lie in its folder.

    Raises UserError with the line if the file raises an error, or if it calls `sys.exit()`. Raises ModuleNotFoundError
    if a module that it needs is not installed.
    """
    # The name must differ from all names of modules: a file `random.py` must not replace the module `random`.
    name = f"hpo_file_{path.stem}_{hashlib.sha256(bytes(path)).hexdigest()[:8]}"
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


def files_in(folder: Path) -> list[Path]:
    """The Python files in a folder, sorted. Empty if the folder cannot be listed."""
    try:
        return sorted(folder.glob("*.py"))
    except OSError:
        return []


def in_words(folders: Sequence[Path]) -> str:
    """The folders that a file was looked for in, in words: "/home/me/spaces or the working directory"."""
    here = Path().absolute()
    words = ("the working directory" if each == here else str(each) for each in map(Path.absolute, folders))
    return " or ".join(dict.fromkeys(words))

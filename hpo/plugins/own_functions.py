"""Functions of the user, named `package.module:function`: whether such a function exists, and loading it.

The module may be a Python file: one beside the space or in the working directory, named `file:function`. Only `load`
imports the module.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo.errors import UserError, nearest, reason
from hpo.plugins import python_files
from hpo.plugins.registry import find, modules_in
from hpo.space.objectives import OwnFunction
from hpo.space.python_file import python_file, python_file_name

Function = Callable[..., Any]
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Kind:
    """What a function of the user is for, in the words of messages. It takes two arguments."""

    noun: str
    """Such as "an objective"."""
    arguments: str
    """Such as "(logits, labels)"."""


def problem(own: OwnFunction, kind: Kind, folders: Sequence[Path], file: str | None = None) -> str | None:
    """Why a function cannot be used, in words. None if it can. Its module is not imported.

    The module or the function is missing, or the function cannot take two arguments. `file` is the path that was found
    for the Python file of the module. Without it, the file is looked for in `folders`.
    """
    if file is None or not Path(file).is_file():
        file = python_file(own.module, folders)
    if file is None and _source(own) is None:
        return _unknown_module(own, folders)
    path = file or _source(own)
    return _problem_in(Path(path), own.name, kind) if path else None


def load(own: OwnFunction, file: str | None, prefix: str) -> Function:
    """Import a function. `file` is the path of its Python file, None if its module is installed.

    Raises a UserError, which begins with `prefix`, if its module cannot be imported, or if there is no such function.
    """
    if file is not None and not Path(file).is_file():
        raise UserError(f"{prefix}: {_gone(file)}")
    try:
        module = python_files.load(Path(file)) if file is not None else importlib.import_module(own.module)
    except ModuleNotFoundError as error:
        missing = f"there is no module {own.module}" if error.name == own.module else f"needs {error.name}"
        raise UserError(f"{prefix}: {missing}, which is not installed") from error
    except UserError as error:
        raise UserError(f"{prefix}: {error}") from error
    except (Exception, SystemExit) as error:
        raise UserError(f"{prefix}: importing {own.module} raised {type(error).__name__}: {reason(error)}") from error
    function = getattr(module, own.name, None)
    if not callable(function):
        raise UserError(f"{prefix}: {file or own.module} has no function `{own.name}`")
    return function  # type: ignore[no-any-return]


def _source(own: OwnFunction) -> str | None:
    """The path of the source of an installed module. None if there is no such module, "" if it has no source."""
    spec = None if own.module.endswith(".py") else find(own.module)
    if spec is None or (spec.origin is None and spec.submodule_search_locations is not None):  # only a folder
        return None
    return spec.origin if spec.origin and spec.origin.endswith(".py") else ""


def _unknown_module(own: OwnFunction, folders: Sequence[Path]) -> str:
    """The message about a module that is neither installed nor a file."""
    name = python_file_name(own.module)
    if name is None:
        parent = own.module.rpartition(".")[0]
        known = [f"{parent}.{each}" for each in modules_in(parent)]
        remedy = "install it, add its folder to PYTHONPATH, or name a file beside the space, as file:function"
        return f"there is no module {own.module}{nearest(own.module, known)}; {remedy}"
    if Path(name).is_absolute():
        return _gone(name)
    suffix = ".py" if own.module.endswith(".py") else ""
    names = {path.stem + suffix for folder in folders for path in python_files.files_in(folder)}
    nothing = "there is no file" if suffix else f"there is no module {own.module}, and no file"
    return f"{nothing} {name} in {python_files.in_words(folders)}{nearest(own.module, names)}"


def _gone(file: str) -> str:
    """The message about a file that is not where it was."""
    return f"there is no file {file}; bring it back, or work in a folder that has it"


def _problem_in(path: Path, name: str, kind: Kind) -> str | None:
    """Why a function of a Python file is not of this kind, in words. None if it may be."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) else ""
        return f"{path}{line}: is broken Python: {error.msg if isinstance(error, SyntaxError) else error}"
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    defined, others, is_open = _names(tree)
    if name in defined:
        return _definition_problem(defined[name], path, kind)
    if name in others or is_open:
        return None
    functions = [each for each, node in defined.items() if isinstance(node, ast.FunctionDef)]
    return f"{path} has no function {name!r}{nearest(name, functions)}"


def _definition_problem(node: Definition, path: Path, kind: Kind) -> str | None:
    """Why a function with this definition is not of this kind. Decorated functions may take anything."""
    if isinstance(node, ast.ClassDef):
        return f"{path}:{node.lineno}: {node.name} is a class; {kind.noun} is a function of {kind.arguments}"
    if isinstance(node, ast.AsyncFunctionDef):
        return f"{path}:{node.lineno}: {node.name} is an async function; {kind.noun} is a plain one"
    given = node.args
    positional = [*given.posonlyargs, *given.args]
    needed = len(positional) - len(given.defaults)
    needs_keyword = any(default is None for default in given.kw_defaults)
    takes_two = needed <= 2 and (len(positional) >= 2 or given.vararg is not None) and not needs_keyword
    if takes_two or node.decorator_list:
        return None
    return f"{path}:{node.lineno}: {node.name} takes ({ast.unparse(given)}); {kind.noun} takes {kind.arguments}"


def _names(tree: ast.Module) -> tuple[dict[str, Definition], set[str], bool]:
    """The functions and classes of a module, its other names, and whether it may have names that cannot be seen."""
    defined: dict[str, Definition] = {}
    others: set[str] = set()
    is_open = False
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            is_open |= node.name == "__getattr__"
            defined.setdefault(node.name, node)
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            is_open |= any(alias.name == "*" for alias in node.names)
            others |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            others.add(node.id)
        waiting.extend(ast.iter_child_nodes(node))
    return defined, others, is_open

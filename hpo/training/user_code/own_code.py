"""Own code: which modules are the user's own, and the source or the bytecode of a function or class."""

from __future__ import annotations

import ast
import dis
import functools
import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.machinery import PathFinder
from importlib.util import resolve_name
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda

PACKAGES = ("hpo", "trainables")
"""The packages of this project: their version belongs to the study, not their source."""

INSTALLED = {"site-packages", "dist-packages"}


def is_own(name: str, namespace: dict[str, Any] | None) -> bool:
    """Whether a module is the user's own: neither built in, nor of the standard library, nor installed."""
    top = name.partition(".")[0]
    if top in PACKAGES:
        return False
    if name == "__main__":
        return True
    if namespace is None:  # not loaded under this name, as of a class of a library's extension module
        package = sys.modules.get(top)
        return top not in sys.stdlib_module_names and (package is None or is_own(top, vars(package)))
    path = namespace.get("__file__") or next(iter(namespace.get("__path__") or ()), None)
    if path is None:
        return namespace.get("__spec__") is None and name != "builtins"
    return is_own_path(str(path))


@functools.cache
def is_own_path(path: str) -> bool:
    """Whether a file lies outside the folders of the standard library and of installed packages."""
    full = Path(path).absolute()
    return not INSTALLED & set(full.parts) and not any(full.is_relative_to(each) for each in _library_folders())


@functools.cache
def _library_folders() -> list[str]:
    return [sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]


def module_of(code: type | FunctionType) -> tuple[str, dict[str, Any] | None]:
    """The name and the namespace of the module; None where the module of a class is not loaded."""
    if isinstance(code, FunctionType):  # `functools.wraps` copies __module__, so it may name another one
        return str(code.__globals__.get("__name__", "__main__")), code.__globals__
    name = str(code.__module__)
    return name, getattr(sys.modules.get(name), "__dict__", None)


def function_node(function: FunctionType) -> Definition | None:
    """The definition of a function or lambda; None where its source cannot be read."""
    tree, code = _file(function.__code__), function.__code__
    if tree is None:
        return None
    if code.co_name == "<lambda>":
        return _lambda_node(tree, code)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == code.co_name:
            first = min(node.lineno, *(each.lineno for each in node.decorator_list), node.lineno)
            if first == code.co_firstlineno:
                return node
    return None


def class_node(kind: type, methods: list[FunctionType]) -> Definition | None:
    """The definition of a class, found by its methods; None where its source cannot be read."""
    for method in methods:
        tree, line = _file(method.__code__), method.__code__.co_firstlineno
        if tree is None or not method.__qualname__.startswith(f"{kind.__qualname__}."):
            continue
        around = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and node.name == kind.__name__ and node.lineno <= line <= _end(node)
        ]
        if around:
            return max(around, key=lambda node: node.lineno)
    try:
        lines, start = inspect.findsource(kind)
        tree = _parsed("".join(lines))
    except Exception:  # inspect raises many kinds on odd objects
        return None
    found = [node for node in ast.walk(tree or ast.Module([], [])) if isinstance(node, ast.ClassDef)]
    return next((each for each in found if each.name == kind.__name__ and _begins(each, start + 1)), None)


def _begins(node: ast.ClassDef, line: int) -> bool:
    return line == node.lineno or any(each.lineno == line for each in node.decorator_list)


def _end(node: ast.ClassDef) -> int:
    return node.end_lineno or node.lineno


def _file(code: CodeType) -> ast.Module | None:
    try:
        return _parsed("".join(inspect.findsource(code)[0]))
    except Exception:  # inspect raises many kinds on odd objects
        return None


@functools.lru_cache(maxsize=64)
def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _lambda_node(tree: ast.Module, code: CodeType) -> ast.Lambda | None:
    """The innermost lambda that holds all positions of the instructions: so lambdas of one line are told apart."""
    spans = [
        ((line, column), (end, end_column))
        for line, end, column, end_column in code.co_positions()
        if line is not None and column is not None and end is not None and end_column is not None and end_column > 0
    ]
    if not spans:
        return None
    first, last = min(start for start, _ in spans), max(end for _, end in spans)
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Lambda)
        and node.lineno == code.co_firstlineno
        and (node.body.lineno, node.body.col_offset) <= first
        and last <= (node.body.end_lineno or 0, node.body.end_col_offset or 0)
    ]
    return max(around, key=lambda node: node.body.col_offset + (node.body.lineno << 32), default=None)


def assignment_source(function: FunctionType, name: str) -> str:
    """The assignments to a global in the file of a function, outside functions and classes; empty without a source."""
    waiting: list[ast.AST] = list(getattr(_file(function.__code__), "body", ()))
    found: list[str] = []
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(each, ast.Name) and each.id == name for target in targets for each in ast.walk(target)):
                found.append(ast.unparse(node))
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            waiting.extend(each for each in ast.iter_child_nodes(node) if isinstance(each, ast.stmt))
    return "; ".join(found)


def nested(code: CodeType) -> Iterator[CodeType]:
    """The code object itself, and those of the functions and classes defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from nested(constant)


def global_names(code: CodeType) -> dict[str, None]:
    """The global names that a code object loads, in order; attribute names are not among them."""
    return dict.fromkeys(
        str(each.argval)
        for part in nested(code)
        for each in dis.get_instructions(part)
        if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    )


def class_body_names(node: Definition) -> dict[str, None]:
    """The global names that the decorators, the bases and the body of a class load, without those of its methods."""
    whole = compile(ast.Module([node], []), "<class>", "exec", dont_inherit=True)  # type: ignore[list-item]
    names: dict[str, None] = {}
    for code in nested(whole):
        if not code.co_flags & inspect.CO_OPTIMIZED:  # a module or a class
            loads = (each for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
            names.update(dict.fromkeys(str(each.argval) for each in loads))
    return names


def bytecode(code: CodeType) -> str:
    """A hash of a code object without its file name and line numbers, for code without a source."""
    consts = [bytecode(each) if isinstance(each, CodeType) else _constant(each) for each in code.co_consts]
    text = repr((code.co_code, code.co_names, code.co_varnames, code.co_freevars, consts))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _constant(value: object) -> str:
    if isinstance(value, frozenset):
        return f"frozenset({sorted(map(_constant, value))})"
    return f"({', '.join(map(_constant, value))})" if isinstance(value, tuple) else repr(value)


def imported_sources(function: FunctionType) -> Iterator[tuple[str, str]]:
    """The own modules that a function imports in its body, and those that they import, each with its source.

    None of them is loaded.
    """
    waiting = list(_imported_names(function))
    seen: set[str] = set()
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        source, package = _module_source(name)
        if source is not None:
            yield name, source
            waiting.extend(_imports(source, package))


def _imported_names(function: FunctionType) -> Iterator[str]:
    """The modules that a function imports in its body."""
    for code in nested(function.__code__):
        steps = list(dis.get_instructions(code))
        for at, step in enumerate(steps):
            if step.opname != "IMPORT_NAME" or at < 2:
                continue
            level, members = steps[at - 2].argval, steps[at - 1].argval
            package = function.__globals__.get("__package__")
            yield from _resolved(str(step.argval), level or 0, members or (), package)


def _imports(source: str, package: str) -> Iterator[str]:
    """The modules that a source imports."""
    for node in ast.walk(_parsed(source) or ast.Module([], [])):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from _resolved(node.module or "", node.level, [alias.name for alias in node.names], package)


def _resolved(name: str, level: int, members: Iterable[str], package: str | None) -> Iterator[str]:
    """The full names of a module and of its members, which may be modules too. Nothing outside a package."""
    try:
        full = resolve_name("." * level + name, package)
    except ImportError:
        return
    yield full
    yield from (f"{full}.{member}" for member in members)


def _module_source(name: str) -> tuple[str | None, str]:
    """The source of an own module without comments and layout, and its package. None for any other module."""
    if name.partition(".")[0] in (*PACKAGES, *sys.builtin_module_names):
        return None, ""
    folders, spec = None, None
    full = ""
    for part in name.split("."):
        full = f"{full}.{part}".lstrip(".")
        spec = PathFinder.find_spec(full, folders)
        if spec is None:
            return None, ""
        folders = list(spec.submodule_search_locations or ())
    if spec is None or not spec.has_location or spec.origin is None or not is_own_path(spec.origin):
        return None, ""
    try:
        tree = _parsed(Path(spec.origin).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None, ""
    package = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
    return (None if tree is None else ast.unparse(tree)), package

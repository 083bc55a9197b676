"""What identifies own training code: its source, and that of all it uses of its own module."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

CONSTANTS = (bool, int, float, complex, str, bytes, type(None))


def digest(code: Callable[..., Any]) -> str:
    """A hash of the source, 16 hexadecimal digits; comments and layout do not count.

    Where the source cannot be read, as of code from standard input, the qualified name stands for it. What comes from
    another module counts by its name alone.
    """
    parts: dict[str, str] = {}
    _collect(code, str(getattr(code, "__module__", "")), parts)
    text = "\n".join(f"{key}: {parts[key]}" for key in sorted(parts))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _collect(code: Any, module: str, parts: dict[str, str]) -> None:
    """Add the source of `code`, and of all that it uses of `module`."""
    if isinstance(code, functools.partial):
        given: dict[Any, Any] = {**dict(enumerate(code.args)), **code.keywords}
        parts[f"arguments of {_key(code.func)}"] = _constants(given)
        code = code.func
    code = getattr(code, "__func__", code)  # of a bound method
    if not hasattr(code, "__qualname__"):  # an object that can be called
        parts[f"attributes of {_key(type(code))}"] = _constants(getattr(code, "__dict__", {}))
        code = type(code)
    key = _key(code)
    if key in parts:
        return
    parts[key] = ""
    if getattr(code, "__module__", None) != module:
        return
    functions = list(_functions(code))
    source = _source(code)
    parts[key] = "\n".join(_source(each) or "" for each in functions) if source is None else source
    for base in getattr(code, "__bases__", ()):
        _collect(base, module, parts)
    for function in functions:
        for name, value in _referred(function):
            if isinstance(value, type | FunctionType):
                _collect(value, module, parts)
            elif _is_constant(value):
                parts[f"{module}.{name}"] = repr(value)


def _functions(code: Any) -> Iterator[FunctionType]:
    """The function itself, or the methods of a class."""
    for member in vars(code).values() if isinstance(code, type) else (code,):
        function = getattr(member, "fget", None) or getattr(member, "__func__", member)  # a property, a static method
        if isinstance(function, FunctionType):
            yield function


def _constants(named: dict[Any, Any]) -> str:
    """Those of the values that are constants: others would not have the same text in another process."""
    return repr(sorted((str(name), value) for name, value in named.items() if _is_constant(value)))


def _is_constant(value: object) -> bool:
    return isinstance(value, CONSTANTS) or (isinstance(value, tuple) and all(map(_is_constant, value)))


def _referred(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """The global names and closure variables that a function uses, with their values."""
    names = dict.fromkeys(name for code in _nested(function.__code__) for name in code.co_names)
    yield from ((name, function.__globals__[name]) for name in names if name in function.__globals__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _source(code: Any) -> str | None:
    """The source of a function or class without comments and layout; None where it cannot be read."""
    try:
        text = textwrap.dedent(inspect.getsource(code))
    except (OSError, TypeError):
        return None
    if getattr(code, "__name__", "") == "<lambda>":
        return _lambda(code, text)
    try:
        return ast.unparse(ast.parse(text))
    except SyntaxError:
        return text


def _lambda(function: FunctionType, text: str) -> str | None:
    """The lambda itself, out of the lines around it; None where it cannot be told from others in them."""
    for end in range(len(text), 0, -1):  # the lines may be the middle of a statement, as in a call over several lines
        start = text.find("lambda")
        if start < 0:
            return None
        try:
            tree = ast.parse(f"({text[start:end]}\n)")
        except SyntaxError:
            continue
        found = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
        alike = [node for node in found if _bytecode(node) == function.__code__.co_code] or found
        return ast.unparse(alike[0]) if len(alike) == 1 else None
    return None


def _bytecode(node: ast.Lambda) -> bytes:
    compiled = compile(ast.fix_missing_locations(ast.Expression(node)), "<lambda>", "eval")
    return next((each.co_code for each in compiled.co_consts if isinstance(each, CodeType)), b"")


def _key(code: Any) -> str:
    return f"{getattr(code, '__module__', '')}.{getattr(code, '__qualname__', type(code).__qualname__)}"

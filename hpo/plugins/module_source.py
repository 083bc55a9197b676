"""The source file of a module: its syntax tree, and the literals at its top level."""

from __future__ import annotations

import ast
from functools import lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from hpo.errors import UserError


def source_path(spec: ModuleSpec | None) -> str | None:
    """The path of a module's source file. Returns None if it has none."""
    origin = spec.origin if spec else None
    return origin if origin and origin.endswith(".py") else None


def parse(source: str) -> ast.Module:
    """The syntax tree of a source file, which is not to be changed. Raises UserError if it is not valid Python."""
    return _parsed(source, Path(source).read_bytes())


@lru_cache(maxsize=128)
def _parsed(source: str, content: bytes) -> ast.Module:
    try:
        return ast.parse(content)
    except SyntaxError as error:
        raise UserError(f"{source}:{error.lineno}: is broken Python: {error.msg}") from None


def literal(tree: ast.Module, name: str, source: str) -> Any:
    """The value of the literal `name` at the top level of a module. Returns None if there is none of that name."""
    for statement in tree.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=found)], value=value)
                | ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value)
            ) if found == name:
                try:
                    return ast.literal_eval(value)
                except ValueError:
                    message = f"{source}:{statement.lineno}: {name} must be a literal: it is read without being run"
                    raise UserError(message) from None
    return None

"""What a module declares to read: two literals in its source, which is parsed and never imported.

    HYPERPARAMETERS = {"lr": "the step size of the optimizer", "optimizer": ["sgd", "adam"]}
    READS_ALSO = ("trainables.training.optimizers",)

Each hyperparameter has a line that says what it means, or a list of the values it may take. A module
that reads hyperparameters by way of another names it in READS_ALSO.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from hpo.errors import Mistake
from hpo.space.values import holds, scalar_problem
from hpo.trial import Scalar

Declared = dict[str, str | list[Scalar]]
"""The hyperparameters that are read: what each means, or the values it may take."""

Find = Callable[[str], ModuleSpec | None]


def read(module: str, find: Find) -> Declared | None:
    """What a module and those in its READS_ALSO declare; None where one of them declares nothing.

    A Mistake where a declaration is no literal of the form above, or the source no Python.
    """
    seen, left, found = set(), [module], []
    while left:
        current = left.pop()
        if current not in seen:
            seen.add(current)
            own, also = _of_source(current, find(current))
            if own is None and not also:
                return None
            found.append(own or {})
            left += also
    return merged(found)


def own(module: str, find: Find) -> Declared:
    """What a module itself declares, without its READS_ALSO; empty if it declares nothing."""
    declared, _ = _of_source(module, find(module))
    return declared or {}


def options(module: str, find: Find) -> Declared | None:
    """What a module of a data set declares as `OPTIONS`, in the same form; None where it declares none.

    A Mistake where the declaration is no literal of that form, or the source no Python.
    """
    source = _source(find(module))
    found = None if source is None else _literal(_parsed(source), "OPTIONS", source)
    if found is not None and not _is_declaration(found):
        raise Mistake(f"{source}: OPTIONS must map names to a line of text or a list of values")
    declared: Declared | None = found
    return declared


def pretrains(module: str, find: Find) -> bool:
    """Whether a module of a regime declares `PRETRAINING = True`: it trains on the task's other data set first.

    A Mistake where the declaration is neither True nor False, or the source no Python.
    """
    return _flag(module, "PRETRAINING", find)


def needs_weights(module: str, find: Find) -> bool:
    """Whether a module of a regime declares `PRETRAINED = True`: it begins with pretrained weights.

    A Mistake where the declaration is neither True nor False, or the source no Python.
    """
    return _flag(module, "PRETRAINED", find)


def trains(module: str, find: Find) -> str | None:
    """What a module of a regime declares as `TRAINS`: the one part that trains in every epoch, "head" or "all".

    None where it declares none. A Mistake where it is another word, or the source no Python.
    """
    source = _source(find(module))
    found = None if source is None else _literal(_parsed(source), "TRAINS", source)
    if found not in (None, "head", "all"):
        raise Mistake(f'{source}: TRAINS must be "head" or "all"')
    part: str | None = found
    return part


def has_head_alone(module: str, find: Find) -> bool:
    """Whether a module of a model declares `HEAD_ONLY = True`: nothing before its head has weights."""
    return _flag(module, "HEAD_ONLY", find)


def has_linear_head(module: str, find: Find) -> bool:
    """Whether the head of a model is made of linear layers: unless its module declares `LINEAR_HEAD = False`."""
    return _flag(module, "LINEAR_HEAD", find, default=True)


def _flag(module: str, name: str, find: Find, *, default: bool = False) -> bool:
    source = _source(find(module))
    found = None if source is None else _literal(_parsed(source), name, source)
    if found is not None and not isinstance(found, bool):
        raise Mistake(f"{source}: {name} must be True or False")
    return default if found is None else bool(found)


def merged(declared: Iterable[Declared]) -> Declared:
    """All declarations as one. What one of them leaves open is open; lists of values are joined."""
    known: Declared = {}
    for each in declared:
        for name, allowed in each.items():
            before = known.get(name, allowed)
            if isinstance(before, str) or isinstance(allowed, str):
                known[name] = before if isinstance(before, str) else allowed
            else:
                known[name] = before + [value for value in allowed if not holds(value, before)]
    return known


def _of_source(module: str, spec: ModuleSpec | None) -> tuple[Declared | None, list[str]]:
    if spec is None:
        raise Mistake(f"READS_ALSO names {module}, but there is no such module")
    source = _source(spec)
    if source is None:
        return None, []
    tree = _parsed(source)
    own, also = _literal(tree, "HYPERPARAMETERS", source), _literal(tree, "READS_ALSO", source)
    if own is not None and not _is_declaration(own):
        raise Mistake(f"{source}: HYPERPARAMETERS must map names to a line of text or a list of values")
    if also is not None and not (isinstance(also, list | tuple) and all(isinstance(each, str) for each in also)):
        raise Mistake(f"{source}: READS_ALSO must be a tuple of module names")
    return own, list(also or ())


def _source(spec: ModuleSpec | None) -> str | None:
    """The file of a module's source; None where it has none."""
    origin = spec.origin if spec else None
    return origin if origin and origin.endswith(".py") else None


def _parsed(source: str) -> ast.Module:
    try:
        return ast.parse(Path(source).read_bytes())
    except SyntaxError as error:
        raise Mistake(f"{source}:{error.lineno}: is broken Python: {error.msg}") from None


def _literal(tree: ast.Module, name: str, source: str) -> Any:
    """The value of a module's own literal; None where it has none of that name."""
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
                    raise Mistake(message) from None
    return None


def _is_declaration(own: Any) -> bool:
    return isinstance(own, dict) and all(
        isinstance(name, str)
        and (
            isinstance(allowed, str)
            or (isinstance(allowed, list) and all(scalar_problem(value) is None for value in allowed))
        )
        for name, allowed in own.items()
    )

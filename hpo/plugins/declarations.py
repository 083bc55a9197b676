"""Reads what a plug-in module declares. The source is parsed and never imported, so this needs no torch.

A module declares its hyperparameters by two literals:

    HYPERPARAMETERS = {"lr": "the step size of the optimizer", "optimizer": ["sgd", "adam"]}
    READS_ALSO = ("trainables.training.optimizers",)

Each hyperparameter has a description, which may end with "; default 64", or a list of the values that it may take, of
which the first is the default. In a list, "timm:NAME" stands for `timm:` and any name. `MEANINGS = {"optimizer": "the
rule of the steps"}` says what those with a list mean. READS_ALSO names the modules through which the module reads
further hyperparameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.machinery import ModuleSpec
from typing import Any

from hpo.errors import UserError
from hpo.plugins import module_source
from hpo.space.values import is_one_of, scalar_problem
from hpo.trial import Scalar

Declared = dict[str, str | list[Scalar]]
"""The declared hyperparameters by name, each with its description or with the values that it may take."""

Find = Callable[[str], ModuleSpec | None]
"""Finds a module by its name without importing it. Returns None if there is no such module."""


def read(module: str, find: Find) -> Declared | None:
    """Read the hyperparameters that a module and the modules in its READS_ALSO declare.

    Returns None if one of these modules declares nothing. Raises UserError if a declaration is not a literal of the
    form above, if READS_ALSO names a missing module, or if a source is not valid Python.
    """
    declarations = []
    for current in modules(module, find):
        declared, reads_also = _read_module(current, find(current))
        if declared is None and not reads_also:
            return None
        declarations.append(declared or {})
    return merged(declarations)


def modules(module: str, find: Find) -> list[str]:
    """A module and those through which it reads hyperparameters, by the READS_ALSO of each. Raises as `read` does."""
    visited: dict[str, None] = {}
    remaining = [module]
    while remaining:
        current = remaining.pop()
        if current not in visited:
            visited[current] = None
            remaining += _read_module(current, find(current))[1]
    return list(visited)


def meanings(module: str, find: Find) -> dict[str, str]:
    """What the names mean that a module declares with a list of values, as it says in `MEANINGS`. Empty if it does not.

    Raises UserError if it is not a dictionary of texts, or if the source is not valid Python.
    """
    found, source = literal(module, "MEANINGS", find)
    if found is not None and not (isinstance(found, dict) and all(isinstance(text, str) for text in found.values())):
        raise UserError(f"{source}: MEANINGS must map names to a line of text")
    return dict(found or {})


def own(module: str, find: Find) -> Declared:
    """The hyperparameters that a module itself declares, without READS_ALSO. Empty if it declares none."""
    declared, _ = _read_module(module, find(module))
    return declared or {}


def options(module: str, find: Find) -> Declared | None:
    """The literal OPTIONS of a data set's module, which has the form of HYPERPARAMETERS. Returns None if it has none.

    Raises UserError if it is not a literal of this form, or if the source is not valid Python.
    """
    found, source = literal(module, "OPTIONS", find)
    if found is not None and not _is_declaration(found):
        raise UserError(f"{source}: OPTIONS must map names to a line of text or a list of values")
    declared: Declared | None = found
    return declared


def path_options(module: str, find: Find) -> tuple[str, ...]:
    """The literal PATHS of a data set's module: the names of the options that are paths. Empty if it has none.

    Raises UserError if it is not a tuple of names, or if the source is not valid Python.
    """
    found, source = literal(module, "PATHS", find)
    if found is None:
        return ()
    if not isinstance(found, list | tuple) or not all(isinstance(name, str) for name in found):
        raise UserError(f"{source}: PATHS must be a tuple of names of options")
    return tuple(found)


def flags(module: str, find: Find) -> dict[str, str]:
    """The flags of the command line for options of a runner, by the names of the options.

    The runner, or a module in its READS_ALSO, declares them as `FLAGS = {"address": "--ray-address"}`. Empty if none
    does. Raises UserError if it is not a dictionary of texts, or if the source is not valid Python.
    """
    found: dict[str, str] = {}
    for each in modules(module, find):
        declared, source = literal(each, "FLAGS", find)
        if not isinstance(declared or {}, dict) or not all(isinstance(text, str) for text in (declared or {}).values()):
            raise UserError(f"{source}: FLAGS must map names of options to flags")
        found |= declared or {}
    return found


def merged(declared: Iterable[Declared]) -> Declared:
    """Merge declarations into one.

    If several declare the same hyperparameter, their lists of values are joined. If one of them has a description
    instead of a list, the hyperparameter may take any value, and the first description is kept.
    """
    result: Declared = {}
    for declaration in declared:
        for name, allowed in declaration.items():
            before = result.get(name, allowed)
            if isinstance(before, str) or isinstance(allowed, str):
                result[name] = before if isinstance(before, str) else allowed
            else:
                result[name] = before + [value for value in allowed if not is_one_of(value, before)]
    return result


def _read_module(module: str, spec: ModuleSpec | None) -> tuple[Declared | None, list[str]]:
    """The HYPERPARAMETERS of a module, None if it has none, and the module names in its READS_ALSO."""
    if spec is None:
        raise UserError(f"READS_ALSO names {module}, but there is no such module")
    source = module_source.source_path(spec)
    if source is None:
        return None, []
    tree = module_source.parse(source)
    declared = module_source.literal(tree, "HYPERPARAMETERS", source)
    reads_also = module_source.literal(tree, "READS_ALSO", source)
    if declared is not None and not _is_declaration(declared):
        raise UserError(f"{source}: HYPERPARAMETERS must map names to a line of text or a list of values")
    if reads_also is not None and not (
        isinstance(reads_also, list | tuple) and all(isinstance(name, str) for name in reads_also)
    ):
        raise UserError(f"{source}: READS_ALSO must be a tuple of module names")
    return declared, list(reads_also or ())


def literal(module: str, name: str, find: Find) -> tuple[Any, str | None]:
    """The value of the literal `name` of a module, and the path of its source. None if it has none.

    Raises UserError if it is not a literal, or if the source is not valid Python.
    """
    source = module_source.source_path(find(module))
    return None if source is None else module_source.literal(module_source.parse(source), name, source), source


def _is_declaration(content: Any) -> bool:
    """Whether a literal has the form of HYPERPARAMETERS."""
    return isinstance(content, dict) and all(
        isinstance(name, str)
        and (
            isinstance(allowed, str)
            or (isinstance(allowed, list) and all(scalar_problem(value) is None for value in allowed))
        )
        for name, allowed in content.items()
    )

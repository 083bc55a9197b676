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

from collections.abc import Callable, Iterable, Mapping
from importlib.machinery import ModuleSpec
from typing import Any

from hpo.errors import UserError
from hpo.plugins.module_source import literal, parse, source_path
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
    source = source_path(find(module))
    found = None if source is None else literal(parse(source), "MEANINGS", source)
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
    source = source_path(find(module))
    found = None if source is None else literal(parse(source), "OPTIONS", source)
    if found is not None and not _is_declaration(found):
        raise UserError(f"{source}: OPTIONS must map names to a line of text or a list of values")
    declared: Declared | None = found
    return declared


def path_options(module: str, find: Find) -> tuple[str, ...]:
    """The literal PATHS of a data set's module: the names of the options that are paths. Empty if it has none.

    Raises UserError if it is not a tuple of names, or if the source is not valid Python.
    """
    source = source_path(find(module))
    found = None if source is None else literal(parse(source), "PATHS", source)
    if found is None:
        return ()
    if not isinstance(found, list | tuple) or not all(isinstance(name, str) for name in found):
        raise UserError(f"{source}: PATHS must be a tuple of names of options")
    return tuple(found)


def pretrains(module: str, find: Find) -> bool:
    """Whether a regime declares `PRETRAINING = True`: it first trains on the data set `pretraining` of the task."""
    return flag(module, "PRETRAINING", find)


def needs_weights(module: str, find: Find) -> bool:
    """Whether a regime declares `PRETRAINED = True`: it starts from pretrained weights."""
    return flag(module, "PRETRAINED", find)


def is_deterministic(module: str, find: Find) -> bool:
    """Whether a regime declares `DETERMINISTIC = True`: it gives the same model with every seed."""
    return flag(module, "DETERMINISTIC", find)


def is_data_parallel(module: str, find: Find) -> bool:
    """Whether a regime declares `DATA_PARALLEL = True`: several devices can train one trial together."""
    return flag(module, "DATA_PARALLEL", find)


def measures_slots(module: str, find: Find) -> bool:
    """Whether a runner declares `MEASURES_SLOTS = True`: with `slots: auto` it is measured how many trials fit at once.

    Each of its trials trains on this machine, in a process of its own. Raises UserError as `flag` does.
    """
    return flag(module, "MEASURES_SLOTS", find)


def flags(module: str, find: Find) -> dict[str, str]:
    """The flags of the command line for options of a runner, by the names of the options.

    The runner, or a module in its READS_ALSO, declares them as `FLAGS = {"address": "--ray-address"}`. Empty if none
    does. Raises UserError if it is not a dictionary of texts, or if the source is not valid Python.
    """
    found: dict[str, str] = {}
    for each in modules(module, find):
        if (source := source_path(find(each))) is not None:
            declared = literal(parse(source), "FLAGS", source) or {}
            if not isinstance(declared, dict) or not all(isinstance(text, str) for text in declared.values()):
                raise UserError(f"{source}: FLAGS must map names of options to flags")
            found |= declared
    return found


def plays_curves(module: str, find: Find) -> bool:
    """Whether a runner declares `PLAYS_CURVES = True`: it trains nothing, and `build` takes `curves`.

    Raises UserError as `flag` does.
    """
    return flag(module, "PLAYS_CURVES", find)


def trains(module: str, find: Find) -> str | None:
    """Which part of the model a regime trains in every epoch, as it declares in `TRAINS`: "head" or "all".

    Returns None if it declares nothing. Raises UserError if it declares anything else, or if the source is not valid
    Python.
    """
    source = source_path(find(module))
    found = None if source is None else literal(parse(source), "TRAINS", source)
    if found not in (None, "head", "all"):
        raise UserError(f'{source}: TRAINS must be "head" or "all"')
    part: str | None = found
    return part


def has_head_alone(module: str, find: Find) -> bool:
    """Whether a model declares `HEAD_ONLY = True`: only its head has weights."""
    return flag(module, "HEAD_ONLY", find)


def has_linear_head(module: str, find: Find) -> bool:
    """Whether the head of a model consists of linear layers: so it is unless it declares `LINEAR_HEAD = False`."""
    return flag(module, "LINEAR_HEAD", find, default=True)


def requires(module: str, find: Find) -> str | None:
    """The package that a tracker needs, as it declares in `REQUIRES`. None if it declares none.

    Raises UserError if it is no text, or if the source is not valid Python.
    """
    source = source_path(find(module))
    found = None if source is None else literal(parse(source), "REQUIRES", source)
    if found is not None and not isinstance(found, str):
        raise UserError(f"{source}: REQUIRES must be the name of a package")
    package: str | None = found
    return package


def places(module: str, find: Find) -> Mapping[str, str] | None:
    """What may be written after the name of a tracker and `=`, with its meaning, as its dictionary `WHERE` declares.

    None if it declares nothing. Raises UserError if `WHERE` has other content, or if the source is not valid Python.
    """
    source = source_path(find(module))
    found = None if source is None else literal(parse(source), "WHERE", source)
    if found is not None and not (isinstance(found, dict) and all(isinstance(text, str) for text in found.values())):
        raise UserError(f"{source}: WHERE must be a dictionary of texts")
    declared: Mapping[str, str] | None = found
    return declared


def flag(module: str, name: str, find: Find, *, default: bool = False) -> bool:
    """Whether a module declares `name = True`. `default` if it declares nothing.

    Raises UserError if the declaration is neither True nor False, or if the source is not valid Python.
    """
    source = source_path(find(module))
    found = None if source is None else literal(parse(source), name, source)
    if found is not None and not isinstance(found, bool):
        raise UserError(f"{source}: {name} must be True or False")
    return default if found is None else bool(found)


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
    source = source_path(spec)
    if source is None:
        return None, []
    tree = parse(source)
    declared, reads_also = literal(tree, "HYPERPARAMETERS", source), literal(tree, "READS_ALSO", source)
    if declared is not None and not _is_declaration(declared):
        raise UserError(f"{source}: HYPERPARAMETERS must map names to a line of text or a list of values")
    if reads_also is not None and not (
        isinstance(reads_also, list | tuple) and all(isinstance(name, str) for name in reads_also)
    ):
        raise UserError(f"{source}: READS_ALSO must be a tuple of module names")
    return declared, list(reads_also or ())


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

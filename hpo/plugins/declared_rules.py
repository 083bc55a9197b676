"""Reads what a plug-in module declares of the values of its hyperparameters, beside `HYPERPARAMETERS`.

These literals are optional. Like all declarations, they are read from the source, and also from the modules of
READS_ALSO:

    RANGES = {"lr": "float > 0", "batch_size": "int >= 1"}     the numbers that are allowed, see `number_range.py`
    WHEN = {"period": {"schedule": ["cosine"]}}                when a hyperparameter has an effect
    IGNORES = {"unfreeze_every": "only the head trains"}       what has no effect with this plug-in, and why
    FIRST_PHASE = ("probe_epochs", "probe_patience")           of a regime in two phases: the hyperparameters of which
                                                               the smallest is the epochs that the first has at least

WHEN has the form of `when` in a space file. In a list, null stands for a hyperparameter that is not given. Instead of a
list, "given" stands for any value. A list of conditions means that one of them is enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from hpo.errors import UserError
from hpo.plugins.declarations import Find, modules, own
from hpo.plugins.module_source import literal, parse, source_path
from hpo.plugins.number_range import NumberRange
from hpo.trial import Scalar

GIVEN: Literal["given"] = "given"
Condition = Mapping[str, Sequence[Scalar] | Literal["given"]]
"""The values of other hyperparameters with which one has an effect."""


def ranges(module: str, find: Find) -> dict[str, list[NumberRange]]:
    """The ranges of each hyperparameter of a module. A value must lie in all of them.

    Raises UserError if a declaration has another form, or if the source is not valid Python.
    """
    found: dict[str, list[NumberRange]] = {}
    for source, declared in _own_first(module, "RANGES", find):
        for name, text in declared.items():
            try:
                found.setdefault(name, []).append(NumberRange.parse(text))
            except (TypeError, ValueError) as error:
                raise UserError(f"{source}: RANGES: {name}: {error}") from None
    return found


def conditions(module: str, find: Find) -> dict[str, list[Condition]]:
    """The conditions of each hyperparameter of a module, of which one must hold for it to have an effect.

    Raises UserError if a declaration has another form, or if the source is not valid Python.
    """
    found: dict[str, list[Condition]] = {}
    for source, declared in _own_first(module, "WHEN", find):
        for name, given in declared.items():
            if name in found:  # that of the module itself counts, not that of a module which it uses
                continue
            found[name] = given if isinstance(given, list) else [given]
            if not found[name] or not all(_is_condition(each) for each in found[name]):
                raise UserError(f'{source}: WHEN: {name}: must be as {{"schedule": ["cosine"]}}, or a list of such')
    return found


def ignored(module: str, find: Find) -> dict[str, str]:
    """The hyperparameters that have no effect with a plug-in, each with the reason.

    Raises UserError if a declaration has another form, or if the source is not valid Python.
    """
    found: dict[str, str] = {}
    for source, declared in _literals(module, "IGNORES", find):
        if not all(isinstance(text, str) for text in declared.values()):
            raise UserError(f"{source}: IGNORES must map names of hyperparameters to a line of text")
        found |= declared
    return found


def first_phase(module: str, find: Find) -> tuple[str, ...]:
    """The hyperparameters of the epochs of a regime's first phase. Empty if it has a single phase.

    Raises UserError if the declaration has another form, or if the source is not valid Python.
    """
    source = source_path(find(module))
    found = None if source is None else literal(parse(source), "FIRST_PHASE", source)
    if found is not None and not (isinstance(found, list | tuple) and all(isinstance(name, str) for name in found)):
        raise UserError(f"{source}: FIRST_PHASE must be a tuple of names of hyperparameters")
    return tuple(found or ())


def _own_first(module: str, name: str, find: Find) -> list[tuple[str, dict[str, Any]]]:
    """As `_literals`, without what other modules say of hyperparameters that the module declares itself.

    A regime may use the name of a hyperparameter of a module that it uses, with another meaning.
    """
    own_source, redeclared = source_path(find(module)), own(module, find)
    return [
        (source, {key: rule for key, rule in declared.items() if source == own_source or key not in redeclared})
        for source, declared in _literals(module, name, find)
    ]


def _literals(module: str, name: str, find: Find) -> list[tuple[str, dict[str, Any]]]:
    """The dictionaries of this name in a module and in those of its READS_ALSO, each with its source."""
    found = []
    for each in modules(module, find):
        source = source_path(find(each))
        declared = None if source is None else literal(parse(source), name, source)
        if source is None or declared is None:
            continue
        if not isinstance(declared, dict) or not all(isinstance(key, str) for key in declared):
            raise UserError(f"{source}: {name} must be a dictionary with names of hyperparameters")
        found.append((source, declared))
    return found


def _is_condition(content: object) -> bool:
    return isinstance(content, dict) and all(
        isinstance(parent, str) and (allowed == GIVEN or (isinstance(allowed, list) and allowed))
        for parent, allowed in content.items()
    )

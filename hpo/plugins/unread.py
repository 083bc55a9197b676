"""What is wrong with a hyperparameter that nothing in a task reads, in words."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from hpo.errors import nearest
from hpo.plugins.foreign_names import ELSEWHERE, EPOCHS, own_name
from hpo.plugins.module_source import parse, source_path
from hpo.plugins.registry import NOUNS, TASK_PACKAGES, find, hyperparameters, names
from hpo.space.domains import Domain

NOTHING = "nothing that this task names reads it"


def unread(name: str, known: Collection[str], task: Mapping[str, Any], domains: Mapping[str, Domain | None]) -> str:
    """The message for a hyperparameter that is not in `known`, all that a task reads.

    It says where the value belongs, or which plug-ins read it, or else the most similar name.
    """
    if name in EPOCHS:
        return f"{NOTHING}; a trial trains for at most `fidelity: {{high: N}}` epochs"
    if name not in known and name in ELSEWHERE:
        return f"is no hyperparameter; {ELSEWHERE[name]}"
    listed_by = [f"hpo describe {key} {each[0]}" for key in TASK_PACKAGES if (each := _named(key, task, domains))]
    if own_name(name) not in known and (readers := _readers(own_name(name), task, domains)):
        return readers
    return f"{NOTHING}{nearest(own_name(name), known, listed_by=listed_by)}"


def _readers(name: str, task: Mapping[str, Any], domains: Mapping[str, Domain | None]) -> str | None:
    """The message that plug-ins of others names read a hyperparameter. None if there are none."""
    for key, package in TASK_PACKAGES.items():
        here = _named(key, task, domains)
        found = {plugin: hyperparameters(module) or {} for plugin, module in names(package).items()}
        readers = {plugin: declared[name] for plugin, declared in found.items() if name in declared}
        if not readers or not here:
            continue
        noun = NOUNS[package]
        which = f"the {noun} {here[0]} has" if len(here) == 1 else f"the {noun}s {', '.join(here)} have"
        text = next((each for each in readers.values() if isinstance(each, str)), "")
        meaning = text.partition(";")[0].partition(",")[0]
        others = ", ".join(_with_variant(package, plugin) for plugin in readers)
        return f"{which} no `{name}`{f': {meaning}' if meaning else ''}; {noun}s that have it: {others}"
    return None


def _with_variant(package: str, plugin: str) -> str:
    """The name of a plug-in as a task names it: timm:NAME, if it is a family of variants."""
    source = source_path(find(names(package)[plugin]))
    tree = None if source is None else parse(source)
    functions = {each.name for each in tree.body if isinstance(each, ast.FunctionDef)} if tree else set()
    return f"{plugin}:NAME" if "variant" in functions else plugin


def _named(key: str, task: Mapping[str, Any], domains: Mapping[str, Domain | None]) -> Sequence[str]:
    """The names of the regimes or models of a task."""
    named = getattr(domains.get(key), "choices", None) or (task.get(key),)
    return [name for name in named if isinstance(name, str)]

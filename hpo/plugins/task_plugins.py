"""The plug-ins that a task may train with, and all that they declare. None of them is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo.errors import UserError
from hpo.plugins import declared_rules
from hpo.plugins.declarations import Declared, modules
from hpo.plugins.declared_rules import Condition
from hpo.plugins.number_range import NumberRange
from hpo.plugins.registry import EARLY_STOPPING, TASK_PACKAGES, WORKER, find, hyperparameters, module_name
from hpo.space.domains import Domain


@dataclass(frozen=True)
class TaskPlugin:
    """What a regime or a model declares of hyperparameters."""

    name: str
    declared: Declared | None
    """None if it declares nothing, so that it may read any hyperparameter."""
    ranges: Mapping[str, Sequence[NumberRange]]
    conditions: Mapping[str, Sequence[Condition]]
    ignored: Mapping[str, str]
    first_phase: Sequence[str]
    modules: Sequence[str] = ()
    """The modules through which it reads hyperparameters."""

    @classmethod
    def read(cls, name: str, module: str) -> TaskPlugin:
        """Read the declarations of a module. Raises UserError if they have a wrong form."""
        declared = hyperparameters(module)
        if declared is None:
            return cls(name, None, {}, {}, {}, ())
        return cls(
            name,
            declared,
            declared_rules.ranges(module, find),
            declared_rules.conditions(module, find),
            declared_rules.ignored(module, find),
            declared_rules.first_phase(module, find),
            modules(module, find),
        )


@dataclass(frozen=True)
class TaskPlugins:
    """The regimes and models of a task, of which each trial has one, and what every trial reads."""

    regimes: Sequence[TaskPlugin]
    models: Sequence[TaskPlugin]
    every: TaskPlugin
    """What every trial reads, whatever its regime."""

    @property
    def may_read_any(self) -> bool:
        """Whether a regime or a model may read any hyperparameter: it declares nothing, or it is not known."""
        return not self.regimes or any(plugin.declared is None for plugin in (*self.regimes, *self.models))

    @property
    def all(self) -> list[TaskPlugin]:
        """All plug-ins, in the order in which they are asked for a hyperparameter."""
        return [*self.regimes, *self.models, self.every]


def of_task(task: Mapping[str, Any], domains: Mapping[str, Domain | None]) -> TaskPlugins:
    """Read the plug-ins of a task, of which a domain in `domains` may name several.

    An unknown one is read as one that declares nothing. Raises UserError if a declaration has a wrong form.
    """
    found: dict[str, list[TaskPlugin]] = {}
    for key, package in TASK_PACKAGES.items():
        named = getattr(domains[key], "choices", ()) if key in domains else (task.get(key),)
        found[key] = [_plugin(package, name) for name in named if isinstance(name, str)]
    every = EARLY_STOPPING if task.get("dataset") is None else WORKER  # nothing is preprocessed without a data set
    return TaskPlugins(found["regime"], found["model"], TaskPlugin.read("", every))


def _plugin(package: str, name: str) -> TaskPlugin:
    try:
        module = module_name(package, name)
    except UserError:  # an unknown name is reported by `space_problems`
        return TaskPlugin(name, None, {}, {}, {}, ())
    return TaskPlugin.read(name, module)

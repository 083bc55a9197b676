"""The search space: its domains, what is fixed, its task and its fidelity, as frozen values.

Every rule (`hpo/space/rules.py`) is checked where the value is made, so a space from YAML, from a dictionary
and from Python code obey the same ones. `hpo/spacefile/reader.py` reads YAML into these types.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hpo.errors import nearest
from hpo.space import rules
from hpo.space.domains import Categorical, Domain, Float, Int, domain_to_dict, holds
from hpo.space.rules import OBJECTIVES, Problem, demand
from hpo.space.values import shown
from hpo.trial import Config, Scalar

__all__ = [
    "OBJECTIVES",
    "Categorical",
    "DatasetSpec",
    "Domain",
    "Fidelity",
    "Float",
    "Int",
    "SearchSpace",
    "Task",
    "Validation",
]

TASK_DOMAINS = ("regime", "model")
"""The keys of a task whose list of names becomes a hyperparameter."""

DATA_KEYS = ("dataset", "pretraining")
"""The keys of a task that name a data set."""


@dataclass(frozen=True)
class Fidelity:
    """How long a trial trains: from `low` to `high` epochs, `eta` times more from rung to rung."""

    high: int
    low: int = 1
    eta: int = 3
    unit: str = "epoch"

    def __post_init__(self) -> None:
        demand(rules.fidelity_problems(vars(self)))

    def rungs(self) -> tuple[int, ...]:
        """The epochs at which trials are compared, rising by `eta`; the last is `high`.

        Counted down from `high` in whole numbers (each is high / eta**k, rounded half up), as many
        as fit above `low`: a floating logarithm loses one at 1..243.
        """
        rungs, divisor = [], 1
        while self.low * divisor <= self.high:
            rungs.append((2 * self.high + divisor) // (2 * divisor))
            divisor *= self.eta
        return tuple(reversed(rungs))


@dataclass(frozen=True)
class Validation:
    """How validation is cut out of the training part: a stratified fraction, or folds, by seed."""

    fraction: float | None = None
    """0.2 where neither is given."""
    seed: int = 42
    folds: int | None = None
    """Each of so many folds is the validation part of one training; a trial's metrics are the means over them."""

    def __post_init__(self) -> None:
        if self.fraction is None and self.folds is None:
            object.__setattr__(self, "fraction", 0.2)
        demand(rules.validation_problems(vars(self)))

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a space file."""
        return {key: value for key in ("fraction", "folds", "seed") if (value := getattr(self, key)) is not None}


@dataclass(frozen=True)
class DatasetSpec:
    """A data set: the name of a plug-in, or `package.module` of the user's own, and the options of its file."""

    name: str
    options: Mapping[str, Scalar] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """New classes, each with the names of the old ones that it holds; none leaves the classes as they are."""

    def __post_init__(self) -> None:
        demand(rules.data_problems(vars(self)))
        object.__setattr__(self, "options", dict(self.options))
        object.__setattr__(self, "groups", {group: tuple(names) for group, names in self.groups.items()})

    def to_dict(self) -> str | dict[str, Any]:
        """As it stands in a space file: its name, where that is all."""
        content: dict[str, Any] = {"name": self.name, **self.options}
        if self.groups:
            content["groups"] = {group: list(names) for group, names in self.groups.items()}
        return content if len(content) > 1 else self.name


@dataclass(frozen=True)
class Task:
    """What is trained: names of plug-ins, or `package.module` of the user's own."""

    regime: str | None = None
    """None where it is searched (a domain `regime`), or where a trainable is given in Python."""
    model: str | None = None
    """None where it is searched (a domain `model`), or where the regime needs none."""
    weights: str = "none"
    """none | imagenet | a path to a state dict."""
    dataset: DatasetSpec | None = None
    """None where the regime brings its own data; a name stands for a data set without options."""
    validation: Validation = field(default_factory=Validation)
    pretraining: DatasetSpec | None = None
    """Another data set, for a regime that trains on it first."""

    def __post_init__(self) -> None:
        demand(rules.task_problems(vars(self)))
        for key in DATA_KEYS:
            if isinstance(value := getattr(self, key), str):
                object.__setattr__(self, key, DatasetSpec(value))


@dataclass(frozen=True)
class SearchSpace:
    """Everything that says what a study searches. `digest` says whether two are the same."""

    name: str
    domains: Mapping[str, Domain]
    """The searched hyperparameters, parents before the children that depend on them."""
    fidelity: Fidelity
    task: Task = field(default_factory=Task)
    fixed: Mapping[str, Scalar] = field(default_factory=dict)
    objective: str = "val_loss"
    """val_loss, or val_error = 1 - val_accuracy; always minimised."""
    reference: str | None = None
    """The published table that the results are to stand beside."""

    def __post_init__(self) -> None:
        demand(rules.space_problems(self.domains, self.fixed, self.objective))
        constants = {**self.fixed, **{key: name for key in TASK_DOMAINS if (name := getattr(self.task, key))}}
        conditions = {name: domain.when for name, domain in self.domains.items()}
        choices = {name: getattr(domain, "choices", None) for name, domain in self.domains.items()}
        demand(rules.condition_problems(conditions, choices, constants))
        demand(_task_domain_problems(self))
        object.__setattr__(self, "domains", _ordered(self.domains))
        object.__setattr__(self, "fixed", dict(self.fixed))

    def active(self, name: str, config: Config) -> bool:
        """Whether a hyperparameter takes part, given the values of those before it in `domains`."""
        conditions = self.domains[name].when.items()
        return all(parent in config and holds(config[parent], allowed) for parent, allowed in conditions)

    def sample(self, rng: random.Random) -> dict[str, Scalar]:
        """One random configuration: every active hyperparameter, drawn independently on its scale."""
        config: dict[str, Scalar] = {}
        for name, domain in self.domains.items():
            if self.active(name, config):
                config[name] = domain.sample(rng)
        return config

    def problem(self, config: Config) -> str | None:
        """What is wrong with a configuration, in words; None if it lies in the space."""
        for name in config:
            if name not in self.domains:
                return f"unknown hyperparameter {name!r}{nearest(name, self.domains)}"
        for name, domain in self.domains.items():
            if not self.active(name, config):
                if name in config:
                    return f"{name!r} is given, but not active here"
            elif name not in config:
                return f"{name!r} is missing"
            elif not domain.contains(config[name]):
                return f"{name!r} is {shown(config[name])}, outside {shown(domain_to_dict(domain))}"
        return None

    def to_dict(self) -> dict[str, Any]:
        """The space as plain values, in the form of a space file; `spacefile.parse` reads it back."""
        task: dict[str, Any] = {
            key: value for key in ("regime", "model", "weights") if (value := getattr(self.task, key)) is not None
        }
        task |= {key: data.to_dict() for key in DATA_KEYS if (data := getattr(self.task, key)) is not None}
        task["validation"] = self.task.validation.to_dict()
        domains = {name: domain_to_dict(domain) for name, domain in self.domains.items()}
        for key in TASK_DOMAINS:
            if key in domains:
                task[key] = domains.pop(key)["choices"]
        fidelity = {key: getattr(self.fidelity, key) for key in ("unit", "low", "high", "eta")}
        return {
            "name": self.name,
            **({"reference": self.reference} if self.reference is not None else {}),
            "task": task,
            "space": domains,
            "fixed": dict(self.fixed),
            "fidelity": fidelity,
            "objective": self.objective,
        }

    def digest(self) -> str:
        """A hash of the resolved space, its name and reference left out: 16 hexadecimal digits of SHA-256."""
        content = {key: value for key, value in self.to_dict().items() if key not in ("name", "reference")}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _task_domain_problems(space: SearchSpace) -> Iterator[Problem]:
    """A searched regime or model stands in a space file as a plain list of names under `task`."""
    for key in TASK_DOMAINS:
        if key in space.domains:
            names = getattr(space.domains[key], "choices", ())
            named = names and all(isinstance(name, str) for name in names)
            if not named or space.domains[key] != Categorical(names):
                yield ("space", key), "must be a Categorical of names, without default and without conditions"
            if getattr(space.task, key) is not None:
                yield ("task", key), f"is {shown(getattr(space.task, key))}, and searched too"


def _ordered(domains: Mapping[str, Domain]) -> dict[str, Domain]:
    """The domains: those of the task first, parents before children, else in the order given."""
    left = [name for name in TASK_DOMAINS if name in domains]
    left += [name for name in domains if name not in TASK_DOMAINS]
    ordered: dict[str, Domain] = {}
    while left:
        name = next(name for name in left if all(parent in ordered for parent in domains[name].when))
        ordered[name] = domains[name]
        left.remove(name)
    return ordered

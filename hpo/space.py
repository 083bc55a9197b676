"""The search space (floor 2): its domains, what is fixed, its task and its fidelity, as frozen values.

Every rule is checked where the value is made, so a space from YAML, from a dictionary and from
Python code obey the same ones. `hpo/spacefile.py` reads YAML into these types.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from hpo.domains import Categorical, Domain, Float, Int, check_scalar, domain_to_dict, holds, is_number
from hpo.errors import SpaceError, nearest
from hpo.trial import Config, Scalar

__all__ = ["Categorical", "Domain", "Fidelity", "Float", "Int", "SearchSpace", "Task", "Validation"]

OBJECTIVES = ("val_loss", "val_error")
TASK_DOMAINS = ("regime", "model")
"""The keys of a task whose list of names becomes a hyperparameter."""


@dataclass(frozen=True)
class Fidelity:
    """How long a trial trains: from `low` to `high` epochs, `eta` times more from rung to rung."""

    high: int
    low: int = 1
    eta: int = 3
    unit: str = "epoch"

    def __post_init__(self) -> None:
        for name, least in (("low", 1), ("high", 1), ("eta", 2)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise SpaceError(f"`{name}` must be a whole number of at least {least}, but is {value!r}")
        if self.low > self.high:
            raise SpaceError(f"`low <= high` must hold, but low={self.low} and high={self.high}")
        if self.unit != "epoch":
            raise SpaceError(f"`unit` must be 'epoch', but is {self.unit!r}")

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
    """How validation is cut out of the training part: a stratified fraction, by seed."""

    fraction: float = 0.2
    seed: int = 42

    def __post_init__(self) -> None:
        if not is_number(self.fraction) or not 0 < self.fraction < 1:
            raise SpaceError(f"`fraction` must lie between 0 and 1, but is {self.fraction!r}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise SpaceError(f"`seed` must be a whole number of at least 0, but is {self.seed!r}")


@dataclass(frozen=True)
class Task:
    """What is trained: names of plug-ins, or `package.module` of the user's own."""

    regime: str | None = None
    """None where it is searched (a domain `regime`), or where a trainable is given in Python."""
    model: str | None = None
    """None where it is searched (a domain `model`), or where the regime needs none."""
    weights: str = "none"
    """none | imagenet | a path to a state dict."""
    dataset: str | None = None
    """None where the regime brings its own data."""
    validation: Validation = field(default_factory=Validation)

    def __post_init__(self) -> None:
        for key in ("regime", "model", "weights", "dataset"):
            value = getattr(self, key)
            if value is not None and not isinstance(value, str):
                raise SpaceError(f"`{key}` must be a name, but is {value!r}")


@dataclass(frozen=True)
class SearchSpace:
    """Everything that says what a study searches. Two equal spaces have the same digest."""

    name: str
    domains: Mapping[str, Domain]
    """The searched hyperparameters, parents before the children that depend on them."""
    fidelity: Fidelity
    task: Task = field(default_factory=Task)
    fixed: Mapping[str, Scalar] = field(default_factory=dict)
    objective: str = "val_loss"
    """val_loss, or val_error = 1 - val_accuracy; always minimised."""

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise SpaceError(f"`objective` {self.objective!r} is unknown{nearest(str(self.objective), OBJECTIVES)}")
        for name in self.domains:
            if name in self.fixed:
                raise SpaceError(f"{name!r} stands in `space` and in `fixed`")
        for name, value in self.fixed.items():
            check_scalar(value, f"the fixed {name!r}")
        for name, domain in self.domains.items():
            _check_when(name, domain, self.domains)
        object.__setattr__(self, "domains", _ordered(self.domains))

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
                return f"{name!r} is {config[name]!r}, outside {domain}"
        return None

    def to_dict(self) -> dict[str, Any]:
        """The space as plain values, in the form of a space file; `spacefile.parse` reads it back."""
        task: dict[str, Any] = {
            key: value
            for key in ("regime", "model", "weights", "dataset")
            if (value := getattr(self.task, key)) is not None
        }
        task["validation"] = {"fraction": self.task.validation.fraction, "seed": self.task.validation.seed}
        domains = {name: domain_to_dict(domain) for name, domain in self.domains.items()}
        for key in TASK_DOMAINS:
            if key in domains:
                task[key] = domains.pop(key)["choices"]
        fidelity = {key: getattr(self.fidelity, key) for key in ("unit", "low", "high", "eta")}
        return {
            "name": self.name,
            "task": task,
            "space": domains,
            "fixed": dict(self.fixed),
            "fidelity": fidelity,
            "objective": self.objective,
        }

    def digest(self) -> str:
        """A hash of the resolved space, its name left out: 16 hexadecimal digits of SHA-256."""
        content = {key: value for key, value in self.to_dict().items() if key != "name"}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _check_when(name: str, domain: Domain, domains: Mapping[str, Domain]) -> None:
    for parent, allowed in domain.when.items():
        if parent not in domains:
            raise SpaceError(f"`when` of {name!r} names {parent!r}, which is not searched{nearest(parent, domains)}")
        choices = domains[parent]
        if not isinstance(choices, Categorical):
            raise SpaceError(f"`when` of {name!r} names {parent!r}, which is a range; only `choices` can be named")
        if not allowed:
            raise SpaceError(f"`when` of {name!r} allows no value of {parent!r}")
        for value in allowed:
            if not choices.contains(value):
                raise SpaceError(
                    f"`when` of {name!r} asks for {parent}={value!r}, which is not among {list(choices.choices)!r}"
                )


def _ordered(domains: Mapping[str, Domain]) -> dict[str, Domain]:
    """The domains, parents before children, else in the order given."""
    graph = TopologicalSorter({name: domain.when.keys() for name, domain in domains.items()})
    try:
        graph.prepare()
    except CycleError as error:
        raise SpaceError(f"`when` goes round in a circle: {' -> '.join(error.args[1])}") from None
    ordered: dict[str, Domain] = {}
    while len(ordered) < len(domains):
        for name, domain in domains.items():
            if name not in ordered and all(parent in ordered for parent in domain.when):
                ordered[name] = domain
                break
    return ordered

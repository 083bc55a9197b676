"""The search space as frozen dataclasses: domains, fixed hyperparameters, fidelity. `hpo/space/task.py` has the task.

Each class checks its rules (`hpo/space/rules.py`) when it is created, and raises a SpaceError if one is broken. So the
same rules hold for spaces from YAML, from dictionaries and from Python code. `hpo/spacefile/reader.py` reads YAML into
these classes.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hpo.errors import nearest
from hpo.space import rules
from hpo.space.domains import Categorical, Domain, domain_to_dict
from hpo.space.objectives import metric_of, own_function
from hpo.space.python_file import python_file
from hpo.space.rules import Problem, raise_problems
from hpo.space.task import DATA_KEYS, Task
from hpo.space.values import format_value, is_one_of, with_lists, with_tuples
from hpo.trial import Config, Value

TASK_DOMAINS = ("regime", "model")
"""The keys of a task that are searched if they hold a list of names."""


@dataclass(frozen=True)
class Fidelity:
    """How long a trial trains: from `low` epochs at the lowest rung to at most `high` epochs.

    Each rung lies at about `eta` times the epochs of the rung below it.
    """

    high: int
    low: int = 1
    eta: int = 3
    unit: str = "epoch"

    def __post_init__(self) -> None:
        raise_problems(rules.fidelity_problems(vars(self)))

    def rungs(self) -> tuple[int, ...]:
        """The epochs at which trials are compared, in ascending order. The last one is `high`.

        The rungs are high / eta**k for k = 0, 1, ... while this is at least `low`, each rounded to the nearest epoch
        (half up). Whole numbers are used because a floating-point logarithm loses a rung for 1 to 243 epochs.
        """
        rungs, divisor = [], 1
        while self.low * divisor <= self.high:
            rungs.append((2 * self.high + divisor) // (2 * divisor))
            divisor *= self.eta
        return tuple(reversed(rungs))


@dataclass(frozen=True)
class SearchSpace:
    """Everything that defines what a study searches. Two spaces with the same `digest` define the same search."""

    name: str
    domains: Mapping[str, Domain]
    """The searched hyperparameters. Parents come before the children whose conditions name them."""
    fidelity: Fidelity
    task: Task = field(default_factory=Task)
    fixed: Mapping[str, Value] = field(default_factory=dict)
    """The hyperparameters that have the same value in all trials."""
    objective: str = "val_loss"
    """What is minimised: val_loss, an error such as val_error = 1 - val_accuracy, or your own package.module:function.

    The function takes the logits, float (n, n_classes), and the labels, int64 (n,), of the whole validation part, and
    returns a number.
    """
    reference: str | None = None
    """The name of a table of published results, with which the results are compared."""
    objective_file: str | None = field(default=None, compare=False)
    """The absolute path of the Python file of the objective, if it is a function in a file of your own."""

    def __post_init__(self) -> None:
        raise_problems(_type_problems(self))
        raise_problems(rules.space_problems(self.domains, self.fixed, self.objective))
        constants = {**self.fixed, **{key: name for key in TASK_DOMAINS if (name := getattr(self.task, key))}}
        conditions = {name: domain.when for name, domain in self.domains.items()}
        choices = {name: getattr(domain, "choices", None) for name, domain in self.domains.items()}
        raise_problems(rules.condition_problems(conditions, choices, constants))
        raise_problems(_task_domain_problems(self))
        object.__setattr__(self, "domains", _ordered(self.domains))
        object.__setattr__(self, "fixed", {name: with_tuples(value) for name, value in self.fixed.items()})

    @property
    def metric(self) -> str:
        """The name of the metric that is minimised, which is a key of the metrics of an epoch.

        It is the objective itself, or `val_function` if the objective is `package.module:function`.
        """
        return metric_of(self.objective)

    def located(self, *folders: Path) -> SearchSpace:
        """Return the space with the path of the Python file of its objective, if it is a file in one of `folders`.

        The first folder that contains the file counts. A file that was found before stays, unless it was moved.
        """
        own = own_function(self.objective)
        if own is None or (self.objective_file is not None and Path(self.objective_file).is_file()):
            return self
        return replace(self, objective_file=python_file(own.module, folders) or self.objective_file)

    def active(self, name: str, config: Config) -> bool:
        """Whether a hyperparameter is active, given the values of those before it in `domains`."""
        conditions = self.domains[name].when.items()
        return all(parent in config and is_one_of(config[parent], allowed) for parent, allowed in conditions)

    def sample(self, rng: random.Random) -> dict[str, Value]:
        """Draw a random configuration. Each active hyperparameter is drawn independently on its scale."""
        return self.completed({}, lambda name: self.domains[name].sample(rng))

    @property
    def defaults(self) -> Config:
        """The defaults of the hyperparameters that have one, active or not."""
        return {name: domain.default for name, domain in self.domains.items() if domain.default is not None}

    def completed(self, given: Config, choose: Callable[[str], Value]) -> dict[str, Value]:
        """A configuration with the given values. `choose` gives those that are missing, by the hyperparameter's name.

        Given values of hyperparameters that are not active are left out.
        """
        config: dict[str, Value] = {}
        for name in self.domains:
            if self.active(name, config):
                config[name] = given[name] if name in given else choose(name)
        return config

    def problem(self, config: Config) -> str | None:
        """Why a configuration does not lie in the space, as a sentence. Returns None if it does."""
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
                return f"{name!r} is {format_value(config[name])}, outside {format_value(domain_to_dict(domain))}"
        return None

    def to_dict(self, *, absolute: bool = False) -> dict[str, Any]:
        """The space as plain values, in the form of a space file. `spacefile.parse` reads them back.

        With `absolute`, the files that the space names have the absolute paths that were found for them.
        """
        objective, own = self.objective, own_function(self.objective)
        if absolute and own is not None and self.objective_file is not None:
            objective = f"{self.objective_file}:{own.name}"
        task: dict[str, Any] = {key: value for key in TASK_DOMAINS if (value := getattr(self.task, key)) is not None}
        task["weights"] = self.task.weights if absolute else self.task.written_weights or self.task.weights
        task |= {
            key: data.to_dict(absolute=absolute) for key in DATA_KEYS if (data := getattr(self.task, key)) is not None
        }
        if self.task.validation.is_given:
            task["validation"] = self.task.validation.to_dict()
        elif self.task.validation.group is not None:
            task["validation"] = {"group": self.task.validation.group}
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
            "fixed": {name: with_lists(value) for name, value in self.fixed.items()},
            "fidelity": fidelity,
            "objective": objective,
        }

    def content(self) -> dict[str, Any]:
        """All that makes two spaces differ, as plain values: the space without its name and reference."""
        content = {key: value for key, value in self.to_dict().items() if key not in ("name", "reference")}
        content["task"]["validation"] = self.task.validation.to_dict()  # the default as well
        return content

    def digest(self) -> str:
        """A hash of the space without its name and reference: the first 16 hexadecimal digits of SHA-256."""
        text = json.dumps(self.content(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _type_problems(space: SearchSpace) -> Iterator[Problem]:
    """The problems of a space in code whose parts have the wrong type, or no name. A space file cannot have them."""
    if not (isinstance(space.name, str) and space.name):
        yield ("name",), f"must be a name, but is {format_value(space.name)}"
    for name, domain in space.domains.items():
        if not isinstance(domain, Domain):
            yield ("space", name), f"must be a Float, an Int or a Categorical, but is {domain!r}"
    for key, kind in (("fidelity", Fidelity), ("task", Task)):
        if not isinstance(value := getattr(space, key), kind):
            yield (key,), f"must be a {kind.__name__}, but is {value!r}"


def _task_domain_problems(space: SearchSpace) -> Iterator[Problem]:
    """The problems of a searched regime or model. A space file can hold one only as a list of names."""
    for key in TASK_DOMAINS:
        if key in space.domains:
            names = getattr(space.domains[key], "choices", ())
            are_names = names and all(isinstance(name, str) for name in names)
            if not are_names or space.domains[key] != Categorical(names):
                yield ("space", key), "must be a Categorical of names, without default, conditions and prior"
            if getattr(space.task, key) is not None:
                yield ("task", key), f"is {format_value(getattr(space.task, key))}, and searched too"


def _ordered(domains: Mapping[str, Domain]) -> dict[str, Domain]:
    """The domains with those of the task first and parents before children. Otherwise the order is kept."""
    remaining = [name for name in TASK_DOMAINS if name in domains]
    remaining += [name for name in domains if name not in TASK_DOMAINS]
    ordered: dict[str, Domain] = {}
    while remaining:
        name = next(name for name in remaining if all(parent in ordered for parent in domains[name].when))
        ordered[name] = domains[name]
        remaining.remove(name)
    return ordered

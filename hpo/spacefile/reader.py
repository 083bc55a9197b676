"""Reads a space file into a SearchSpace, or raises one error that lists every mistake in it with its line.

A space file is YAML; `hpo/spacefile/yaml_text.py` says which scalars are numbers. A range is a range of real numbers,
even if its bounds are written as whole numbers, unless it has `type: int`. A list of names under `task.regime` or
`task.model` makes `regime` or `model` a hyperparameter, which comes before all others. This holds for a list of one
name, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from hpo import plugins
from hpo.errors import UserError, nearest, shortened
from hpo.space import (
    DATA_KEYS,
    TASK_DOMAINS,
    VALIDATION_KEYS,
    WEIGHTS,
    DatasetSpec,
    Fidelity,
    SearchSpace,
    Task,
    Validation,
    rules,
)
from hpo.space.domains import Categorical, Domain, Float, Int
from hpo.space.objectives import OBJECTIVES
from hpo.space.rules import Problem
from hpo.space.values import format_value
from hpo.spacefile import published
from hpo.spacefile.document import Document, load
from hpo.spacefile.yaml_text import Keys

SECTIONS = ("name", "reference", "task", "space", "fixed", "fidelity", "objective")
TASK_KEYS = ("regime", "model", "weights", "dataset", "pretraining", "validation")
RANGE_KEYS = ("low", "high", "log", "default", "step", "points", "type", "when", "prior")
CHOICES_KEYS = ("choices", "default", "when", "prior")
TYPES = ("float", "int")

Domains = dict[str, Domain | None]
"""The domains by name. A domain with mistakes is None."""


def read(path: Path, overrides: Sequence[str] = (), *, is_new: bool = True) -> SearchSpace:
    """Read a YAML file into a space. The space has the name of the file, unless the file gives another.

    `overrides` are texts of `--set`, in the form `a.b.c=value`. `is_new` is as in `parse`. Raises SpaceFileError with
    all mistakes, one per line: its place, its keys, the value and what is allowed.
    """
    document = load(path, overrides)
    return _parse(document, path.stem, [path.parent, Path()], is_new=is_new)


def parse(
    content: Mapping[str, Any], *, name: str = "space", source: str = "", installed: bool = True, is_new: bool = True
) -> SearchSpace:
    """Convert a dictionary in the form of a space file into a space. It reverses `SearchSpace.to_dict`.

    Args:
        content: the keys and values of a space file.
        name: the name of the space if `content` has none.
        source: where the content comes from. Each mistake begins with it.
        installed: whether to check the names of plug-ins, weights files, tables of published results and
            hyperparameters. If False, they are not checked, so that a study can be read on a machine that lacks them.
        is_new: whether to check the rules of `plugins.rule_problems`, too. The spaces of studies that were begun by an
            earlier version may break them.

    Raises SpaceFileError with all mistakes, one per line.
    """
    return _parse(Document(content, source), name, [Path()] if installed else None, is_new=is_new)


def find(name_or_path: str) -> Path:
    """The path of a space file, given as a path or as the name of a bundled space, with or without `.yaml`.

    Raises UserError if there is no such file or bundled space, or if the name is empty.
    """
    path, known = Path(name_or_path), bundled()
    if not name_or_path:
        raise UserError(f"the name of the space is empty{nearest('', known, listed_by=['hpo spaces'])}")
    if os.path.isfile(path):  # other than `Path.is_file`, it takes names that are too long
        return path
    if name_or_path.removesuffix(".yaml") in known:
        return known[name_or_path.removesuffix(".yaml")]
    if os.path.exists(path):
        return path
    hint = nearest(path.stem, known, listed_by=["hpo spaces"])
    raise UserError(f"no file {shortened(repr(name_or_path))}, and no bundled space of that name{hint}")


def bundled() -> dict[str, Path]:
    """The paths of the spaces that come with hpo, by name."""
    paths = (Path(str(entry)) for entry in files("search_spaces").iterdir())
    return {path.stem: path for path in sorted(paths) if path.suffix == ".yaml"}


def describe(path: Path) -> str:
    """The description of a space file: the comment at its top, as one line."""
    lines = []
    with path.open(encoding="utf-8-sig") as file:
        for line in file:
            if not line.startswith("#"):
                break
            lines.append(line.lstrip("#").strip())
    return " ".join(filter(None, lines))


def _parse(document: Document, name: str, folders: Sequence[Path] | None, *, is_new: bool = True) -> SearchSpace:
    """The space of a document. Paths of weights and of own data sets are looked up in `folders`, and become absolute.

    The last folder is the working directory. None for `folders` means that weights, plug-ins and tables may be missing
    on this machine.
    """
    content = document.fields((), document.content, SECTIONS)
    name = content.get("name", name)
    if not isinstance(name, str) or not name:
        document.add_mistake(("name",), f"must be a name, but is {format_value(name)}")
    task, task_domains = _task(document, content.get("task"))
    validation = _validation(document, task.pop("validation", None))
    task |= {key: _data(document, key, task.pop(key)) for key in DATA_KEYS if key in task}
    if validation is not None and task.get("dataset") is not None:
        document.add_problems(("task",), rules.group_problems(validation.group, task["dataset"].options))
    reference = content.get("reference")
    domains = task_domains | _domains(document, content.get("space"))
    fixed = document.mapping(("fixed",), content.get("fixed"))
    fidelity = _fidelity(document, content.get("fidelity"))
    objective = content.get("objective", OBJECTIVES[0])
    document.add_problems((), rules.space_problems(domains, fixed, objective))
    weights_folders: Sequence[Path] = ()
    constants = fixed | {key: value.name if isinstance(value, DatasetSpec) else value for key, value in task.items()}
    document.add_problems((), _condition_problems(content.get("space"), domains, constants))
    if folders is not None:
        document.add_problems((), plugins.problems(task, domains, fixed, folders))
        if is_new:
            document.add_problems((), plugins.rule_problems(task, domains, fixed, fidelity))
        document.add_problems((), plugins.objectives.problems(objective, folders))
        document.add_problems((), _reference_problems(reference))
        # A path is relative to the space file, but that of an override is relative to the working directory.
        weights_folders = folders[-1:] if document.is_overridden(("task", "weights")) else folders
        document.add_problems((), _weights_problems(task.get("weights", WEIGHTS[0]), weights_folders))
    document.raise_mistakes()
    assert fidelity is not None, "raise_mistakes() has raised its mistakes"
    assert validation is not None, "raise_mistakes() has raised its mistakes"
    valid_domains = {name: domain for name, domain in domains.items() if domain}
    if folders is not None:
        for key in task.keys() & set(DATA_KEYS):
            task[key] = _with_overridden_paths(document, key, task[key], folders[-1:])
    located_task = plugins.located(Task(**task, validation=validation).located(*weights_folders), folders or ())
    space = SearchSpace(name, valid_domains, fidelity, located_task, fixed, objective, reference)
    return space.located(*folders or ())


def _task(document: Document, content: Any) -> tuple[dict[str, Any], Domains]:
    """The fields of the task, and the domains of those keys that hold a list of names."""
    fields, task_domains = document.fields(("task",), content, TASK_KEYS), Domains()
    for key in TASK_DOMAINS:
        if isinstance(fields.get(key), list | tuple):
            names = fields.pop(key)
            problems = [text for _, text in rules.choices_problems({"choices": names})]
            problems += [
                f"must hold names, but holds {format_value(name)}" for name in names if not isinstance(name, str)
            ]
            document.add_problems(("task", key), (((), text) for text in problems))
            task_domains[key] = None if problems else Categorical(names)
    document.add_problems(("task",), rules.task_problems({"weights": WEIGHTS[0]} | fields))
    return fields, task_domains


def _data(document: Document, key: str, content: Any) -> DatasetSpec | None:
    """The data set under `task.dataset` or `task.pretraining`. Returns None if it has mistakes.

    The content is a name, or a mapping of `name`, the options of the data set, and `merged_classes`.
    """
    if not isinstance(content, str | Mapping):
        document.add_mistake(
            ("task", key), f"must be a name, or hold the key `name` beside options; is {format_value(content)}"
        )
        return None
    fields = {"name": content} if isinstance(content, str) else document.mapping(("task", key), content)
    name: Any = fields.pop("name", None)
    merged: Any = {} if fields.get("merged_classes") is None else fields["merged_classes"]
    fields.pop("merged_classes", None)
    problems = rules.data_problems({"name": name, "options": fields, "merged_classes": merged})
    return DatasetSpec(name, fields, merged) if document.add_problems(("task", key), problems) else None


def _with_overridden_paths(document: Document, key: str, data: DatasetSpec, folders: Sequence[Path]) -> DatasetSpec:
    """The data set with the paths of those options that are overridden, if they are in `folders`."""
    overridden = [option for option in data.options if document.is_overridden(("task", key, option))]
    return plugins.located_data(data, folders, overridden) if overridden else data


def _validation(document: Document, content: Any) -> Validation | None:
    """The validation split. Returns None if it has mistakes."""
    fields = document.fields(("task", "validation"), content, VALIDATION_KEYS)
    default = {"seed": Validation().seed} | ({} if "folds" in fields else {"fraction": Validation().fraction})
    problems = rules.validation_problems(default | fields)
    is_valid = document.add_problems(("task", "validation"), problems)
    return Validation(**fields, is_given=bool(fields.keys() - {"group"})) if is_valid else None


def _fidelity(document: Document, content: Any) -> Fidelity | None:
    """The fidelity. Returns None if it is missing or has mistakes."""
    if content is None:
        document.add_mistake(
            ("fidelity",), "is missing; it says how long a trial trains, as {low: 1, high: 27, eta: 3}"
        )
        return None
    fields = document.fields(("fidelity",), content, ("unit", "low", "high", "eta"))
    problems = rules.fidelity_problems({"unit": "epoch", "low": 1, "eta": 3} | fields)
    is_valid = isinstance(content, Mapping) and document.add_problems(("fidelity",), problems)
    return Fidelity(**fields) if is_valid else None


def _domains(document: Document, content: Any) -> Domains:
    """The domains of the section `space`."""
    domains = Domains()
    for name, domain_content in document.mapping(("space",), content).items():
        if name in TASK_DOMAINS:
            document.add_mistake(("space", name), f"must stand under task.{name}, as a list of names")
        else:
            domains[name] = _domain(document, ("space", name), domain_content)
    return domains


def _domain(document: Document, keys: Keys, content: Any) -> Domain | None:
    """A range or a list of choices. Returns None if it has mistakes."""
    if not isinstance(content, Mapping):
        document.add_mistake(
            keys, f"must be {{low: .., high: ..}} or {{choices: [..]}}, or stand in fixed; is {format_value(content)}"
        )
        return None
    n_before = document.n_mistakes
    has_choices, has_range = "choices" in content, "low" in content or "high" in content
    known = CHOICES_KEYS if has_choices and not has_range else RANGE_KEYS if has_range and not has_choices else ()
    fields = document.fields(keys, content, known or dict.fromkeys(RANGE_KEYS + CHOICES_KEYS))
    if not known:
        held = "both" if has_range else "neither"
        document.add_mistake(keys, f"needs either `low` and `high` or `choices`, but has {held}")
    elif has_choices:
        document.add_problems(keys, rules.choices_problems(fields))
    else:
        kind = fields.pop("type", "float")
        if kind not in TYPES:
            document.add_mistake((*keys, "type"), f"{format_value(kind)} is unknown{nearest(str(kind), TYPES)}")
        document.add_problems(keys, rules.range_problems(fields, whole=kind == "int"))
    if document.n_mistakes > n_before:
        return None
    return Categorical(**fields) if has_choices else Int(**fields) if kind == "int" else Float(**fields)


def _condition_problems(content: Any, domains: Domains, constants: Mapping[str, Any]) -> Iterator[Problem]:
    """The problems of the conditions of all domains, also of domains that have mistakes elsewhere."""
    choices = {name: getattr(domain, "choices", None) for name, domain in domains.items()}
    broken = [name for name, domain in domains.items() if domain is None]
    conditions = {}
    for name, domain in domains.items():
        if domain is not None:
            conditions[name] = domain.when
        elif name not in TASK_DOMAINS and isinstance(content[name], Mapping):
            when = content[name].get("when")
            if when is not None and not any(rules.when_problems(when)):
                conditions[name] = when
    return rules.condition_problems(conditions, choices, constants, broken)


def _reference_problems(reference: object) -> Iterator[Problem]:
    if reference is not None and reference not in (known := published.names()):
        yield ("reference",), f"no published table {format_value(reference)}{nearest(str(reference), known)}"


def _weights_problems(weights: object, folders: Sequence[Path]) -> Iterator[Problem]:
    if isinstance(weights, str) and weights not in WEIGHTS and not any((path / weights).is_file() for path in folders):
        yield ("task", "weights"), f"there is no file {weights!r}{nearest(weights, WEIGHTS)}"

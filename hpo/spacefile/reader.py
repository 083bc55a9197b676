"""Space files: read one into a SearchSpace, or name every mistake in it at once, each with its line.

A space file is YAML (`hpo/spacefile/yaml_text.py` says which scalars are numbers). A range is one of real
numbers, however its ends are written, unless `type: int` stands beside them. A list under
`task.regime` or `task.model` makes it a hyperparameter of that name, placed first; so does a list
of one name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from hpo import plugins
from hpo.errors import Mistake, nearest
from hpo.space import DATA_KEYS, TASK_DOMAINS, DatasetSpec, Fidelity, SearchSpace, Task, Validation, rules
from hpo.space.domains import Categorical, Domain, Float, Int
from hpo.space.rules import OBJECTIVES, Problem
from hpo.space.values import shown
from hpo.spacefile import references
from hpo.spacefile.document import Document, load
from hpo.spacefile.yaml_text import Keys

SECTIONS = ("name", "reference", "task", "space", "fixed", "fidelity", "objective")
TASK_KEYS = ("regime", "model", "weights", "dataset", "pretraining", "validation")
WEIGHTS = ("none", "imagenet")
RANGE_KEYS = ("low", "high", "log", "default", "points", "type", "when")
CHOICES_KEYS = ("choices", "default", "when")
TYPES = ("float", "int")

Domains = dict[str, Domain | None]
"""The domains by name, None for one that is broken."""


def read(path: Path, overrides: Sequence[str] = ()) -> SearchSpace:
    """The space of a YAML file, named as the file; `overrides` are the texts of `--set`, `a.b.c=value`.

    SpaceFileError with every mistake, a line each: place, keys, value, what is allowed.
    """
    return _parse(load(path, overrides), path.stem, installed=True)


def parse(content: Mapping[str, Any], *, name: str = "space", source: str = "", installed: bool = True) -> SearchSpace:
    """The space of a dictionary, by the rules of a file; of `SearchSpace.to_dict()` the same space again.

    `name` counts where the content holds none; `source` stands before each mistake. With `installed`
    false the names of plug-ins, weights and hyperparameters are taken on trust, so that a study can
    be looked at on a machine where they are not.
    """
    return _parse(Document(content, source), name, installed=installed)


def find(name_or_path: str) -> Path:
    """The file of a space: a path, or the name of a bundled one, with or without .yaml."""
    path, known = Path(name_or_path), bundled()
    if path.is_file():
        return path
    if name_or_path.removesuffix(".yaml") in known:
        return known[name_or_path.removesuffix(".yaml")]
    if path.exists():
        return path
    raise Mistake(f"no file {name_or_path!r}, and no bundled space of that name{nearest(path.stem, known)}")


def bundled() -> dict[str, Path]:
    """The spaces that come with hpo, by name."""
    paths = (Path(str(entry)) for entry in files("search_spaces").iterdir())
    return {path.stem: path for path in sorted(paths) if path.suffix == ".yaml"}


def describe(path: Path) -> str:
    """What a space file says of itself: the comment at its top, as one line."""
    lines = []
    with path.open(encoding="utf-8-sig") as file:
        for line in file:
            if not line.startswith("#"):
                break
            lines.append(line.lstrip("#").strip())
    return " ".join(filter(None, lines))


def _parse(document: Document, name: str, *, installed: bool) -> SearchSpace:
    content = document.fields((), document.content, SECTIONS)
    name = content.get("name", name)
    if not isinstance(name, str) or not name:
        document.note(("name",), f"must be a name, but is {shown(name)}")
    task, searched = _task(document, content.get("task"))
    validation = _validation(document, task.pop("validation", None))
    task |= {key: _data(document, key, task.pop(key)) for key in DATA_KEYS if key in task}
    reference = content.get("reference")
    domains = searched | _domains(document, content.get("space"))
    fixed = document.mapping(("fixed",), content.get("fixed"))
    fidelity = _fidelity(document, content.get("fidelity"))
    objective = content.get("objective", OBJECTIVES[0])
    document.note_all((), rules.space_problems(domains, fixed, objective))
    constants = fixed | {key: value.name if isinstance(value, DatasetSpec) else value for key, value in task.items()}
    document.note_all((), _condition_problems(content.get("space"), domains, constants))
    if installed:
        document.note_all((), plugins.problems(task, domains, fixed))
        document.note_all((), _reference_problems(reference))
        document.note_all((), _weights_problems(task.get("weights", WEIGHTS[0])))
    document.settle()
    assert fidelity is not None, "settle() has raised what is wrong with it"
    assert validation is not None, "settle() has raised what is wrong with it"
    sound = {name: domain for name, domain in domains.items() if domain}
    return SearchSpace(name, sound, fidelity, Task(**task, validation=validation), fixed, objective, reference)


def _task(document: Document, content: Any) -> tuple[dict[str, Any], Domains]:
    """The fields of the task, and the domains that it holds as lists of names."""
    fields, searched = document.fields(("task",), content, TASK_KEYS), Domains()
    for key in TASK_DOMAINS:
        if isinstance(fields.get(key), list | tuple):
            names = fields.pop(key)
            problems = [text for _, text in rules.choices_problems({"choices": names})]
            problems += [f"must hold names, but holds {shown(name)}" for name in names if not isinstance(name, str)]
            document.note_all(("task", key), (((), text) for text in problems))
            searched[key] = None if problems else Categorical(names)
    document.note_all(("task",), rules.task_problems({"weights": WEIGHTS[0]} | fields))
    return fields, searched


def _data(document: Document, key: str, content: Any) -> DatasetSpec | None:
    """A data set: its name, or a mapping of `name`, the options of its file, and `groups`; None if it is broken."""
    if not isinstance(content, str | Mapping):
        document.note(("task", key), f"must be a name, or hold the key `name` beside options; is {shown(content)}")
        return None
    fields = {"name": content} if isinstance(content, str) else document.mapping(("task", key), content)
    name: Any = fields.pop("name", None)
    groups: Any = {} if fields.get("groups") is None else fields["groups"]
    fields.pop("groups", None)
    problems = rules.data_problems({"name": name, "options": fields, "groups": groups})
    return DatasetSpec(name, fields, groups) if document.note_all(("task", key), problems) else None


def _validation(document: Document, content: Any) -> Validation | None:
    fields = document.fields(("task", "validation"), content, ("fraction", "folds", "seed"))
    default = {"seed": Validation().seed} | ({} if "folds" in fields else {"fraction": Validation().fraction})
    problems = rules.validation_problems(default | fields)
    return Validation(**fields) if document.note_all(("task", "validation"), problems) else None


def _fidelity(document: Document, content: Any) -> Fidelity | None:
    if content is None:
        document.note(("fidelity",), "is missing; it says how long a trial trains, as {low: 1, high: 27, eta: 3}")
        return None
    fields = document.fields(("fidelity",), content, ("unit", "low", "high", "eta"))
    problems = rules.fidelity_problems({"unit": "epoch", "low": 1, "eta": 3} | fields)
    sound = isinstance(content, Mapping) and document.note_all(("fidelity",), problems)
    return Fidelity(**fields) if sound else None


def _domains(document: Document, content: Any) -> Domains:
    domains = Domains()
    for name, each in document.mapping(("space",), content).items():
        if name in TASK_DOMAINS:
            document.note(("space", name), f"must stand under task.{name}, as a list of names")
        else:
            domains[name] = _domain(document, ("space", name), each)
    return domains


def _domain(document: Document, keys: Keys, content: Any) -> Domain | None:
    if not isinstance(content, Mapping):
        document.note(
            keys, f"must be {{low: .., high: ..}} or {{choices: [..]}}, or stand in fixed; is {shown(content)}"
        )
        return None
    before = document.n_mistakes
    has_choices, has_range = "choices" in content, "low" in content or "high" in content
    known = CHOICES_KEYS if has_choices and not has_range else RANGE_KEYS if has_range and not has_choices else ()
    fields = document.fields(keys, content, known or dict.fromkeys(RANGE_KEYS + CHOICES_KEYS))
    if not known:
        held = "both" if has_range else "neither"
        document.note(keys, f"needs either `low` and `high` or `choices`, but has {held}")
    elif has_choices:
        document.note_all(keys, rules.choices_problems(fields))
    else:
        kind = fields.pop("type", "float")
        if kind not in TYPES:
            document.note((*keys, "type"), f"{shown(kind)} is unknown{nearest(str(kind), TYPES)}")
        document.note_all(keys, rules.range_problems(fields, whole=kind == "int"))
    if document.n_mistakes > before:
        return None
    return Categorical(**fields) if has_choices else Int(**fields) if kind == "int" else Float(**fields)


def _condition_problems(content: Any, domains: Domains, constants: Mapping[str, Any]) -> Iterator[Problem]:
    """The problems of all conditions, those of domains that are broken elsewhere included."""
    choices = {name: getattr(domain, "choices", None) for name, domain in domains.items()}
    unsure = [name for name, domain in domains.items() if domain is None]
    conditions = {}
    for name, domain in domains.items():
        if domain is not None:
            conditions[name] = domain.when
        elif name not in TASK_DOMAINS and isinstance(content[name], Mapping):
            when = content[name].get("when")
            if when is not None and not any(rules.when_problems(when)):
                conditions[name] = when
    return rules.condition_problems(conditions, choices, constants, unsure)


def _reference_problems(reference: object) -> Iterator[Problem]:
    if reference is not None and reference not in (known := references.names()):
        yield ("reference",), f"no published table {shown(reference)}{nearest(str(reference), known)}"


def _weights_problems(weights: object) -> Iterator[Problem]:
    if isinstance(weights, str) and weights not in WEIGHTS and not Path(weights).is_file():
        yield ("task", "weights"), f"there is no file {weights!r}{nearest(weights, WEIGHTS)}"

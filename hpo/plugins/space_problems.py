"""The problems of a space with the plug-ins and the objective that it names. None of them is imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.errors import UnknownName, UserError, nearest
from hpo.plugins import dataset_files, declared_rules, objectives
from hpo.plugins.declarations import merged, options
from hpo.plugins.number_problems import option_problems
from hpo.plugins.registry import DATASETS, TASK_PACKAGES, WORKER, find, hyperparameters, module_name, names
from hpo.plugins.space_rules import rule_problems
from hpo.plugins.traits import needs_weights, pretrains
from hpo.plugins.unread import unread
from hpo.plugins.value_lists import list_problems
from hpo.space import DATA_KEYS, TASK_DOMAINS, DatasetSpec, SearchSpace
from hpo.space.domains import Domain
from hpo.space.python_file import python_file_name
from hpo.space.rules import Problem
from hpo.space.values import value_problem
from hpo.trial import Value


def problem_lines(space: SearchSpace, *, is_new: bool = True) -> list[str]:
    """The mismatches between a space and the plug-ins and the objective that it names, as lines of text.

    See `problems`, `rule_problems` and `objectives.problems`. Only a space that `is_new` must keep the rules of
    `rule_problems`. Python files are looked for in the working directory.
    """
    parts = vars(space.task), space.domains, space.fixed
    found = list(problems(*parts, (Path(),)))
    if is_new:
        found += rule_problems(*parts, space.fidelity)
    found += objectives.problems(space.objective, (Path(),), space.objective_file)
    return [f"{'.'.join(keys)}: {text}" for keys, text in found]


def problems(
    task: Mapping[str, Any],
    domains: Mapping[str, Domain | None],
    fixed: Mapping[str, Value],
    folders: Sequence[Path] = (),
) -> Iterator[Problem]:
    """The mismatches between the parts of a space and the plug-ins that its task names.

    A problem is an unknown plug-in or option, a hyperparameter that no plug-in reads, a value that a hyperparameter
    cannot take, missing weights, or a `pretraining` data set that no regime uses.

    A regime or model that declares nothing may read any hyperparameter. This also holds for training code that is given
    in Python. A domain is None if it has mistakes that are reported elsewhere; its values are not checked. Nor are
    fixed values that are no valid scalars. The Python file of a data set is looked for in `folders`.
    """
    declarations, may_read_any = [hyperparameters(WORKER) or {}], False
    may_pretrain: dict[str, bool] = {}
    for key in DATA_KEYS:
        if task.get(key) is not None:
            yield from data_problems(key, task[key], folders)
    for key, package in TASK_PACKAGES.items():
        is_searched = key in TASK_DOMAINS and key in domains
        for name in getattr(domains[key], "choices", (None,)) if is_searched else (task.get(key),):
            if not isinstance(name, str):
                may_read_any |= key == "regime"
                continue
            try:
                module = module_name(package, name)
            except UnknownName as error:
                yield ("task", key), str(error)
                may_read_any = True
                continue
            declared = hyperparameters(module)
            may_read_any |= declared is None
            declarations.append(declared or {})
            if key == "regime":
                may_pretrain[name] = declared is None or pretrains(module, find)
                if "weights" not in task and "model" in {*task, *domains} and needs_weights(module, find):
                    yield (
                        ("task", "weights"),
                        f"is missing, and {name} begins with pretrained ones: imagenet or the path of a state dict "
                        "(none for random ones)",
                    )
    if task.get("pretraining") is not None and may_pretrain and not any(may_pretrain.values()):
        yield ("task", "pretraining"), _unused_pretraining(list(may_pretrain))
    known = merged(declarations)
    for keys, values in _given_values(domains, fixed):
        if keys[-1] in known:
            yield from list_problems(keys, values, known[keys[-1]])
        elif not may_read_any:
            yield keys, unread(keys[-1], known, task, domains)


def _unused_pretraining(regimes: Sequence[str]) -> str:
    """The message for a `pretraining` data set if none of the task's regimes uses one."""
    named = f"the regime {regimes[0]}" if len(regimes) == 1 else f"none of the regimes {', '.join(regimes)}"
    trains = "trains on no other data set first" if len(regimes) == 1 else "trains on another data set first"
    others = [name for name, module in names("trainables.regimes").items() if pretrains(module, find)]
    return f"{named} {trains} (one that does: {', '.join(others)})"


def data_problems(key: str, data: DatasetSpec, folders: Sequence[Path] = ()) -> Iterator[Problem]:
    """The problems of a data set: an unknown name, and options that its module does not declare or allow.

    The Python file of the data set is looked for in `folders`.
    """
    known_names = names(DATASETS)
    data = dataset_files.located(data, folders, known_names)
    try:
        module = module_name(DATASETS, data.plugin)
    except UnknownName as error:
        is_module = "." in data.name and python_file_name(data.name) is None
        yield ("task", key), str(error if is_module else dataset_files.unknown(data, folders, known_names))
        return
    except UserError as error:
        yield ("task", key), str(error)
        return
    if data.name in known_names:
        spec = find(module)
        text = dataset_files.ambiguity(data, folders, None if spec is None else spec.origin)
        if text is not None:
            yield ("task", key), text
    known = options(module, find) or {}
    for name, value in data.options.items():
        if name not in known:
            yield ("task", key, name), f"data set {data.name!r} has no such option{nearest(name, known)}"
        else:
            yield from list_problems(("task", key, name), (value,), known[name], has_default=False)
    yield from option_problems(("task", key), data.options, declared_rules.ranges(module, find))


def _given_values(
    domains: Mapping[str, Domain | None], fixed: Mapping[str, Value]
) -> Iterator[tuple[tuple[str, str], Sequence[Value] | None]]:
    """The keys of each hyperparameter and its values. The values of a range are None; invalid ones are left out."""
    for name, domain in domains.items():
        if name not in TASK_DOMAINS:
            yield ("space", name), () if domain is None else getattr(domain, "choices", None)
    for name, value in fixed.items():
        yield ("fixed", name), (value,) if value_problem(value) is None else ()

"""Plug-ins by name: which there are, where they lie, and what they read, all without importing one.

A plug-in is a module of one of five packages (hpo.backends, hpo.runners, trainables.regimes,
trainables.models, trainables.datasets): a file in its folder whose name begins with no underscore, a
module that an installed package offers by an entry point of the group of the same name, or any
module of the user's own, named `package.module`. Only `load` imports.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points
from typing import Any

from hpo.errors import Mistake, UnknownName, nearest
from hpo.plugins.declarations import Declared, merged, needs_weights, options, pretrains, read
from hpo.space import DATA_KEYS, TASK_DOMAINS, DatasetSpec, SearchSpace
from hpo.space.domains import Domain
from hpo.space.rules import Problem
from hpo.space.values import holds, scalar_problem, shown
from hpo.trial import Scalar

TASK_PACKAGES = {"regime": "trainables.regimes", "model": "trainables.models"}
"""The keys of a task that name a plug-in which reads hyperparameters, and the package in which it is looked up."""

DATASETS = "trainables.datasets"

NOUNS = {
    "hpo.backends": "backend",
    "hpo.runners": "runner",
    "trainables.regimes": "regime",
    "trainables.models": "model",
    DATASETS: "dataset",
}

WORKER = "hpo.training.worker"
"""The module that declares which hyperparameters the epoch loop itself reads."""


def names(package: str) -> dict[str, str]:
    """The names of a package's plug-ins and the module of each, sorted; a bundled one precedes an installed one."""
    installed = {point.name: point.module for point in entry_points(group=package)}
    bundled = {name: f"{package}.{name}" for name in _modules_in(package) if not name.startswith("_")}
    return dict(sorted((installed | bundled).items()))


def module_name(package: str, name: str) -> str:
    """The module of a plug-in; UnknownName, with the nearest known one, where there is none.

    Of `family:variant` it is that of the family.
    """
    known, name = names(package), name.partition(":")[0]
    if name in known:
        return known[name]
    noun = NOUNS.get(package, "plug-in")
    if "." in name:
        if find(name) is not None:
            return name
        parent = name.rpartition(".")[0]
        raise UnknownName(f"{noun} module", name, [f"{parent}.{each}" for each in _modules_in(parent)])
    error = UnknownName(noun, name, known)
    error.args = (f"{error}; a module of your own is named package.module",)
    raise error


def load(package: str, name: str) -> Any:
    """Import a plug-in; a Mistake where a package that it needs is missing, or where it has no `build`.

    Of `family:variant`, what `variant(name)` of the family's module returns.
    """
    module = module_name(package, name)
    noun = NOUNS.get(package, "plug-in")
    try:
        plugin = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or find(error.name.partition(".")[0]) is not None:
            raise
        raise Mistake(f"{noun} {name!r} needs {error.name}, which is not installed{_remedy(package, name)}") from error
    family, colon, variant = name.partition(":")
    wanted = "variant" if colon else "build"
    if not callable(getattr(plugin, wanted, None)):
        hint = f"; name a variant, as {family}:NAME" if callable(getattr(plugin, "variant", None)) else ""
        raise Mistake(f"{noun} {name!r}: {plugin.__file__} has no function `{wanted}`{hint}")
    return plugin.variant(variant) if colon else plugin


def _remedy(package: str, name: str) -> str:
    """How to install what a bundled plug-in needs: all trainables share an extra, a backend's bears its name."""
    if name not in _modules_in(package):
        return ""
    extra = "train" if package.startswith("trainables.") else name
    return f"; install it by: pip install 'hpo[{extra}]'"


def find(module: str) -> ModuleSpec | None:
    """Where a module lies, found without importing it or the packages around it; None if it is nowhere."""
    top, *rest = module.split(".")
    if not all((top, *rest)):
        return None
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # a module made by hand, such as __main__
        return None
    for part in rest:
        locations = (spec.submodule_search_locations if spec else None) or ()
        finders = [finder for location in locations if (finder := pkgutil.get_importer(location)) is not None]
        specs = [found for finder in finders if (found := finder.find_spec(part)) is not None]
        spec = next((found for found in specs if found.loader), specs[0] if specs else None)
    return spec


def _modules_in(package: str) -> list[str]:
    spec = find(package)
    locations = (spec.submodule_search_locations if spec else None) or []
    return [module.name for module in pkgutil.iter_modules(locations)]


def hyperparameters(module: str) -> Declared | None:
    """What a module declares to read, with what it reads also; None where it declares nothing.

    Each hyperparameter has a line that says what it means, or a list of the values it may take.
    """
    return read(module, find)


def unread(space: SearchSpace) -> list[str]:
    """What is wrong between a space and the plug-ins that its task names, one a line; see `problems`."""
    found = problems(vars(space.task), space.domains, space.fixed)
    return [f"{'.'.join(keys)}: {text}" for keys, text in found]


def problems(
    task: Mapping[str, Any], domains: Mapping[str, Domain | None], fixed: Mapping[str, Scalar]
) -> Iterator[Problem]:
    """Each name of a plug-in that is unknown, each hyperparameter that nothing reads, each value it cannot take.

    A regime or model that declares nothing may read anything, and so may one that is given in Python.
    A domain that is None is broken elsewhere, and so is a value that is none.
    """
    declared, unsure = [hyperparameters(WORKER) or {}], False
    regimes: dict[str, bool] = {}
    for key in DATA_KEYS:
        if task.get(key) is not None:
            yield from data_problems(key, task[key])
    for key, package in TASK_PACKAGES.items():
        searched = key in TASK_DOMAINS and key in domains
        for name in getattr(domains[key], "choices", (None,)) if searched else (task.get(key),):
            if not isinstance(name, str):
                unsure |= key == "regime"
                continue
            try:
                module = module_name(package, name)
            except UnknownName as error:
                yield ("task", key), str(error)
                unsure = True
                continue
            found = hyperparameters(module)
            unsure |= found is None
            declared.append(found or {})
            if key == "regime":
                regimes[name] = found is None or pretrains(module, find)
                if "weights" not in task and "model" in {*task, *domains} and needs_weights(module, find):
                    yield (
                        ("task", "weights"),
                        f"is missing, and {name} begins with pretrained ones: imagenet or the path of a state dict "
                        "(none for random ones)",
                    )
    if task.get("pretraining") is not None and regimes and not any(regimes.values()):
        yield ("task", "pretraining"), _unused_pretraining(list(regimes))
    known = merged(declared)
    for keys, values in _given(domains, fixed):
        if keys[-1] in known:
            yield from _value_problems(keys, values, known[keys[-1]])
        elif not unsure:
            yield keys, f"nothing that this task names reads it{nearest(keys[-1], known)}"


def _unused_pretraining(regimes: Sequence[str]) -> str:
    """Words for a data set that none of the regimes of a task trains on."""
    named = f"the regime {regimes[0]}" if len(regimes) == 1 else f"none of the regimes {', '.join(regimes)}"
    trains = "trains on no other data set first" if len(regimes) == 1 else "trains on another data set first"
    others = [name for name, module in names("trainables.regimes").items() if pretrains(module, find)]
    return f"{named} {trains} (one that does: {', '.join(others)})"


def data_problems(key: str, data: DatasetSpec) -> Iterator[Problem]:
    """The name of a data set where it is unknown, and each option that its file does not declare or allow."""
    try:
        module = module_name(DATASETS, data.name)
    except UnknownName as error:
        yield ("task", key), str(error)
        return
    known = options(module, find) or {}
    for name, value in data.options.items():
        if name not in known:
            yield ("task", key, name), f"data set {data.name!r} has no such option{nearest(name, known)}"
        else:
            yield from _value_problems(("task", key, name), (value,), known[name])


def _given(
    domains: Mapping[str, Domain | None], fixed: Mapping[str, Scalar]
) -> Iterator[tuple[tuple[str, str], Sequence[Scalar] | None]]:
    """The values of each hyperparameter, None for a range."""
    for name, domain in domains.items():
        if name not in TASK_DOMAINS:
            yield ("space", name), () if domain is None else getattr(domain, "choices", None)
    for name, value in fixed.items():
        yield ("fixed", name), (value,) if scalar_problem(value) is None else ()


def _value_problems(
    keys: tuple[str, ...], values: Sequence[Scalar] | None, allowed: str | list[Scalar]
) -> Iterator[Problem]:
    if isinstance(allowed, str):
        return
    if values is None:
        yield keys, f"must be choices out of {shown(allowed)}, but is a range"
        return
    for value in values:
        if not holds(value, allowed):
            yield keys, f"{shown(value)} is unknown{nearest(str(value), map(str, allowed))}"

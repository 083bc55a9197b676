"""The registry of plug-ins: their names, their modules and the problems of a space with them, without importing any.

A plug-in is a module that belongs to one of five packages: hpo.backends, hpo.runners, trainables.regimes,
trainables.models and trainables.datasets. It is one of these:

- a file in the folder of the package, unless its name begins with an underscore (a bundled plug-in)
- a module that an installed distribution registers under the entry point group of the same name, such as `hpo.backends`
- any module of your own, named `package.module`
- for a data set: a Python file of your own, see `hpo/plugins/dataset_files.py`

Only `load` imports a plug-in.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from hpo.errors import UnknownName, UserError, nearest
from hpo.plugins import dataset_files
from hpo.plugins.declarations import Declared, merged, needs_weights, options, pretrains, read
from hpo.space import DATA_KEYS, TASK_DOMAINS, DatasetSpec, SearchSpace, Task
from hpo.space.domains import Domain
from hpo.space.rules import Problem
from hpo.space.values import format_value, is_one_of, value_problem
from hpo.trial import Scalar, Value

TASK_PACKAGES = {"regime": "trainables.regimes", "model": "trainables.models"}
"""The keys of a task whose plug-ins read hyperparameters, and the packages of these plug-ins."""

DATASETS = "trainables.datasets"
"""The package of the data sets."""

NOUNS = {
    "hpo.backends": "backend",
    "hpo.runners": "runner",
    "trainables.regimes": "regime",
    "trainables.models": "model",
    DATASETS: "dataset",
}
"""What error messages call a plug-in of each package."""

WORKER = "hpo.training.worker"
"""The module that declares the hyperparameters that every trial reads, such as `patience`."""


def names(package: str) -> dict[str, str]:
    """The plug-ins of a package: the module of each by its name, sorted by name.

    If a bundled and an installed plug-in have the same name, the bundled one is taken.
    """
    installed = {point.name: point.module for point in entry_points(group=package)}
    bundled = {name: f"{package}.{name}" for name in _modules_in(package) if not name.startswith("_")}
    return dict(sorted((installed | bundled).items()))


def module_name(package: str, name: str) -> str:
    """The module of a plug-in. For a name of the form `family:variant` it is the module of the family.

    The path of the Python file of a data set is returned as it is. The other packages take no paths.

    Raises UnknownName, which suggests the most similar name, if there is no such plug-in, and UserError if there is no
    such file.
    """
    if package == DATASETS and _is_file_name(name):
        if not Path(name).is_file():
            shown = f"{NOUNS.get(package, 'plug-in')} {Path(name).stem!r}"
            raise UserError(f"{shown}: there is no file {name}; bring it back, or work in a folder that has it")
        return name
    known, name = names(package), name.partition(":")[0]
    if name in known:
        return known[name]
    noun = NOUNS.get(package, "plug-in")
    if "." in name and not _is_file_name(name):
        if find(name) is not None:
            return name
        parent = name.rpartition(".")[0]
        raise UnknownName(f"{noun} module", name, [f"{parent}.{module}" for module in _modules_in(parent)])
    error = UnknownName(noun, name, known)
    error.args = (f"{error}; a module of your own is named package.module",)
    raise error


def load(package: str, name: str) -> Any:
    """Import a plug-in and return its module, which has a function `build`.

    For a variant such as `timm:resnet18`, return the result of `variant("resnet18")` of the module `timm` instead; it
    has a method `build`.

    Raises UserError if a package that the plug-in needs is not installed, or if the module has no function `build` (or
    `variant`). Raises UnknownName if there is no such plug-in.
    """
    module = module_name(package, name)
    shown = f"{NOUNS.get(package, 'plug-in')} {(Path(name).stem if _is_file_name(name) else name)!r}"
    try:
        plugin = dataset_files.load(Path(module)) if _is_file_name(module) else importlib.import_module(module)
    except SystemExit as error:
        raise UserError(f"{shown}: its module calls `sys.exit()` when it is imported") from error
    except ModuleNotFoundError as error:
        if error.name is None or find(error.name.partition(".")[0]) is not None:
            raise
        raise UserError(f"{shown} needs {error.name}, which is not installed{_install_hint(package, name)}") from error
    family, colon, variant = ("", "", "") if _is_file_name(name) else name.partition(":")
    function = "variant" if colon else "build"
    if not callable(getattr(plugin, function, None)):
        hint = f"; name a variant, as {family}:NAME" if callable(getattr(plugin, "variant", None)) else ""
        raise UserError(f"{shown}: {plugin.__file__} has no function `{function}`{hint}")
    return plugin.variant(variant) if colon else plugin


def _install_hint(package: str, name: str) -> str:
    """How to install the extra that a bundled plug-in needs. Empty if the plug-in is not bundled.

    All plug-ins of `trainables` share the extra `train`. The extra of any other plug-in has the name of the plug-in.
    """
    if name not in _modules_in(package):
        return ""
    extra = "train" if package.startswith("trainables.") else name
    return f"; install it by: pip install 'hpo[{extra}]'"


def find(module: str) -> ModuleSpec | None:
    """Find a module without importing it or the packages that contain it. Returns None if there is no such module.

    `module` may also be the path of a Python file.
    """
    if _is_file_name(module):
        return importlib.util.spec_from_file_location(Path(module).stem, module) if Path(module).is_file() else None
    top, *rest = module.split(".")
    if not all((top, *rest)):
        return None
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # a loaded module without a spec, such as __main__
        return None
    for part in rest:
        locations = (spec.submodule_search_locations if spec else None) or ()
        finders = [finder for location in locations if (finder := pkgutil.get_importer(location)) is not None]
        specs = [found for finder in finders if (found := finder.find_spec(part)) is not None]
        spec = next((found for found in specs if found.loader), specs[0] if specs else None)
    return spec


def _is_file_name(module: str) -> bool:
    return module.endswith(".py") and Path(module).is_absolute()


def _modules_in(package: str) -> list[str]:
    """The names of the modules directly inside a package. Empty if there is no such package."""
    spec = find(package)
    locations = (spec.submodule_search_locations if spec else None) or []
    return [module.name for module in pkgutil.iter_modules(locations)]


def hyperparameters(module: str) -> Declared | None:
    """The hyperparameters that a module declares, including those of READS_ALSO. Returns None if it declares nothing.

    Each hyperparameter has a description, or a list of the values that it may take.
    """
    return read(module, find)


def problem_lines(space: SearchSpace) -> list[str]:
    """The mismatches between a space and the plug-ins that its task names, as lines of text. See `problems`.

    The Python file of a data set is looked for in the working directory.
    """
    found = problems(vars(space.task), space.domains, space.fixed, (Path(),))
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
            yield from _value_problems(keys, values, known[keys[-1]])
        elif not may_read_any:
            yield keys, f"nothing that this task names reads it{nearest(keys[-1], known)}"


def _unused_pretraining(regimes: Sequence[str]) -> str:
    """The message for a `pretraining` data set if none of the task's regimes uses one."""
    named = f"the regime {regimes[0]}" if len(regimes) == 1 else f"none of the regimes {', '.join(regimes)}"
    trains = "trains on no other data set first" if len(regimes) == 1 else "trains on another data set first"
    others = [name for name, module in names("trainables.regimes").items() if pretrains(module, find)]
    return f"{named} {trains} (one that does: {', '.join(others)})"


def located(task: Task, folders: Sequence[Path]) -> Task:
    """Return a task with the path of the Python file of each data set, if it is one in `folders` and no plug-in."""
    known = names(DATASETS)
    specs = {key: spec for key in DATA_KEYS if (spec := getattr(task, key)) is not None}
    found: dict[str, Any] = {key: dataset_files.located(spec, folders, known) for key, spec in specs.items()}
    return replace(task, **found)


def data_problems(key: str, data: DatasetSpec, folders: Sequence[Path] = ()) -> Iterator[Problem]:
    """The problems of a data set: an unknown name, and options that its module does not declare or allow.

    The Python file of the data set is looked for in `folders`.
    """
    known_names = names(DATASETS)
    data = dataset_files.located(data, folders, known_names)
    try:
        module = module_name(DATASETS, data.plugin)
    except UnknownName as error:
        is_module = "." in data.name and data.file_name is None
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
            yield from _value_problems(("task", key, name), (value,), known[name])


def _given_values(
    domains: Mapping[str, Domain | None], fixed: Mapping[str, Value]
) -> Iterator[tuple[tuple[str, str], Sequence[Value] | None]]:
    """The keys of each hyperparameter and its values. The values of a range are None; invalid ones are left out."""
    for name, domain in domains.items():
        if name not in TASK_DOMAINS:
            yield ("space", name), () if domain is None else getattr(domain, "choices", None)
    for name, value in fixed.items():
        yield ("fixed", name), (value,) if value_problem(value) is None else ()


def _value_problems(
    keys: tuple[str, ...], values: Sequence[Value] | None, allowed: str | list[Scalar]
) -> Iterator[Problem]:
    """The values that are not in the list `allowed`. A description (a text) allows every value."""
    if isinstance(allowed, str):
        return
    if values is None:
        yield keys, f"must be choices out of {format_value(allowed)}, but is a range"
        return
    for value in values:
        if not is_one_of(value, allowed):
            names = (each if isinstance(each, str) else format_value(each) for each in allowed)
            yield keys, f"{format_value(value)} is unknown{nearest(str(value), names)}"

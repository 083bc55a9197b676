"""The registry of plug-ins: their names and their modules, which only `load` imports.

A plug-in is a module that belongs to one of six packages: hpo.backends, hpo.runners, hpo.trackers, trainables.regimes,
trainables.models and trainables.datasets. It is one of these:

- a file in the folder of the package, unless its name begins with an underscore (a bundled plug-in)
- a module that an installed distribution registers under the entry point group of the same name, such as `hpo.backends`
- any module of your own, named `package.module`
- for a data set: a Python file of your own, see `hpo/plugins/dataset_files.py`
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from typing import Any

from hpo.errors import UnknownName, UserError, shortened
from hpo.plugins import dataset_files, declarations, python_files
from hpo.plugins.declarations import Declared, path_options, read
from hpo.space import DATA_KEYS, DatasetSpec, Task

TASK_PACKAGES = {"regime": "trainables.regimes", "model": "trainables.models"}
"""The keys of a task whose plug-ins read hyperparameters, and the packages of these plug-ins."""

BACKENDS = "hpo.backends"
"""The package of the backends."""

RUNNERS = "hpo.runners"
"""The package of the runners."""

TRACKERS = "hpo.trackers"
"""The package of the trackers."""

DATASETS = "trainables.datasets"
"""The package of the data sets."""

NOUNS = {
    BACKENDS: "backend",
    RUNNERS: "runner",
    TRACKERS: "tracker",
    "trainables.regimes": "regime",
    "trainables.models": "model",
    DATASETS: "dataset",
}
"""What error messages call a plug-in of each package."""

WORKER = "hpo.training.worker"
"""The module that declares the hyperparameters that every trial reads, such as `patience`."""

EARLY_STOPPING = "hpo.training.early_stopping"
"""The module that declares those that trials without a data set read, too."""


def names(package: str) -> dict[str, str]:
    """The plug-ins of a package: the module of each by its name, sorted by name.

    If a bundled and an installed plug-in have the same name, the bundled one is taken.
    """
    installed = {point.name: point.module for point in _entry_points(package, _state_of_path())}
    bundled = {name: f"{package}.{name}" for name in modules_in(package) if not name.startswith("_")}
    return dict(sorted((installed | bundled).items()))


@lru_cache(maxsize=len(NOUNS))
def _entry_points(package: str, state_of_path: object) -> EntryPoints:
    """The entry points of one group, read again only when `state_of_path` changes.

    To read them takes some milliseconds, because each installed distribution has a file of them.
    """
    return entry_points(group=package)


def _state_of_path() -> tuple[tuple[str, int | None], ...]:
    """The folders of `sys.path`, and when each last changed: an installation adds a folder to one of them."""
    return tuple((entry, _changed_at(entry or os.curdir)) for entry in sys.path)


def _changed_at(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


def module_name(package: str, name: str, *, also: Collection[str] = ()) -> str:
    """The module of a plug-in. For a name of the form `family:variant` it is the module of the family.

    The path of the Python file of a data set is returned as it is. The other packages take no paths. `also` are
    further names that the error lists.

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
        siblings = modules_in(parent)
        error = UnknownName(f"{noun} module", name, [f"{parent}.{module}" for module in siblings])
        if not siblings:
            what = "is no package" if find(parent) is None else "is no module in the package"
            text = (
                f"unknown {noun} module {shortened(repr(name))}: there {what} {shortened(repr(parent))} in the "
                f"working directory {Path.cwd()}, in PYTHONPATH or among the installed packages"
            )
            error.args = (text,)
        raise error
    listed_by = [f"hpo describe {noun}"] if package in NOUNS else []
    error = UnknownName(noun, name, [*known, *also], listed_by=listed_by)
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
        plugin = python_files.load(Path(module)) if _is_file_name(module) else importlib.import_module(module)
    except SystemExit as error:
        raise UserError(f"{shown}: its module calls `sys.exit()` when it is imported") from error
    except ModuleNotFoundError as error:
        if error.name is None or find(error.name.partition(".")[0]) is not None:
            raise
        raise UserError(f"{shown} needs {error.name}, which is not installed{install_hint(package, name)}") from error
    family, colon, variant = ("", "", "") if _is_file_name(name) else name.partition(":")
    function = "variant" if colon else "build"
    if not callable(getattr(plugin, function, None)):
        has_variants = callable(getattr(plugin, "variant", None))
        hint = f"; name a variant, as {family}:NAME" if has_variants else f"; name it {family}" if colon else ""
        raise UserError(f"{shown}: {plugin.__file__} has no function `{function}`{hint}")
    return plugin.variant(variant) if colon else plugin


def install_hint(package: str, name: str) -> str:
    """How to install the extra that a bundled plug-in needs. Empty if the plug-in is not bundled.

    All plug-ins of `trainables` share the extra `train`. The extra of any other plug-in has the name of the plug-in.
    """
    if name not in modules_in(package):
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


def modules_in(package: str) -> list[str]:
    """The names of the modules directly inside a package. Empty if there is no such package."""
    spec = find(package)
    locations = (spec.submodule_search_locations if spec else None) or []
    return [module.name for module in pkgutil.iter_modules(locations)]


def hyperparameters(module: str) -> Declared | None:
    """The hyperparameters that a module declares, including those of READS_ALSO. Returns None if it declares nothing.

    Each hyperparameter has a description, or a list of the values that it may take.
    """
    return read(module, find)


def flags(module: str) -> dict[str, str]:
    """The flags of the command line that a runner declares for its options, by the names of the options."""
    return declarations.flags(module, find)


def located(task: Task, folders: Sequence[Path]) -> Task:
    """Return a task with the paths of the files of its data sets that are in `folders`.

    These are the Python file of each data set, if it is no plug-in, and the options that it declares as paths.
    """
    specs = {key: spec for key in DATA_KEYS if (spec := getattr(task, key)) is not None}
    found: dict[str, Any] = {key: located_data(spec, folders) for key, spec in specs.items()}
    return replace(task, **found)


def located_data(data: DatasetSpec, folders: Sequence[Path], only: Collection[str] | None = None) -> DatasetSpec:
    """Return a data set with the paths of its files that are in `folders`: see `located`.

    `only` are the options that may be looked up, or None for all that are paths.
    """
    data = dataset_files.located(data, folders, names(DATASETS))
    try:
        module = module_name(DATASETS, data.plugin)
    except UserError:  # an unknown name is reported by `data_problems`
        return data
    declared = path_options(module, find)
    return data.with_paths([option for option in declared if only is None or option in only], *folders)

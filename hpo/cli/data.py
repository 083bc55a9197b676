"""Data sets outside a search (floor 4): look one over, and prepare a machine that will be offline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import plugins
from hpo.errors import MachineError, Mistake, TaskError
from hpo.space import Data
from hpo.trial import Scalar

if TYPE_CHECKING:
    from trainables.splits import DataSet


def survey(name: str, options: Mapping[str, Scalar], folder: Path) -> list[str]:
    """What a data set holds and what is broken in it, a line each.

    Reads both parts to find images that stand in both; it trains nothing and judges no model. A
    TaskError where the data set is not there.
    """
    from trainables import heldout
    from trainables import survey as surveys

    dataset = _built(_plugin(name, options), name, options, folder)
    return surveys.lines(surveys.survey(dataset.training(), heldout.held_out(dataset), dataset.classes))


def fetch(model: str | None, dataset: str | None, options: Mapping[str, Scalar], folder: Path) -> list[str]:
    """Download a model's ImageNet weights and a data set into `folder`; say where they lie.

    What is there already stays. A Mistake where nothing can be downloaded, a MachineError where the download fails.
    """
    done = []
    if model is not None:
        family = _loaded("trainables.models", model)
        if not hasattr(family, "WEIGHTS"):
            raise Mistake(f"--model {model}: there are no ImageNet weights of this model")
        path = folder / "weights" / family.WEIGHTS
        if not path.exists():
            _download(f"the weights of {model}", path, lambda: family.fetch(path))
        done.append(f"{model}: {path}")
    if dataset is not None:
        plugin = _plugin(dataset, options)
        if hasattr(plugin, "fetch"):
            _download(f"the data set {dataset}", folder, lambda: plugin.fetch(folder, **options))
        _built(plugin, dataset, options, folder)
        done.append(f"{dataset}: {folder}")
    return done


def _plugin(name: str, options: Mapping[str, Scalar]) -> Any:
    """The module of a data set; a Mistake where its name or one of the options is wrong."""
    found = plugins.data_problems("dataset", Data(name, options))
    problems = [f"--option {keys[2]}: {text}" if len(keys) > 2 else text for keys, text in found]
    if problems:
        raise Mistake("\n".join(problems))
    return _loaded(plugins.DATASETS, name)


def _loaded(package: str, name: str) -> Any:
    """A plug-in; a Mistake where it has no such variant, or where a package that it needs is missing."""
    from trainables import faults

    try:
        return plugins.load(package, name)
    except faults.SetupError as error:
        raise Mistake(str(error)) from error


def _built(plugin: Any, name: str, options: Mapping[str, Scalar], folder: Path) -> DataSet:
    from trainables import faults

    try:
        dataset: DataSet = plugin.build(folder, **options)
    except (faults.SetupError, ValueError) as error:
        absent = [option for option in getattr(plugin, "OPTIONS", ()) if option not in options]
        missing = next((option for option in absent if f"`dataset.{option}`" in str(error)), None)
        remedy = f"; here by --option {missing}=..." if missing else ""
        raise TaskError(f"data set {name!r}: {error}{remedy}") from error
    return dataset


def _download(what: str, target: Path, run: Callable[[], None]) -> None:
    """Run a download. Libraries raise whatever their servers and the network make of it."""
    from trainables import faults

    try:
        run()
    except faults.SetupError as error:  # says what and where to by itself
        raise MachineError(str(error)) from error
    except Exception as error:
        raise MachineError(
            f"{what} cannot be downloaded: {faults.reason(error)}; "
            f"fetch it where there is a connection, and copy it to {target}"
        ) from error

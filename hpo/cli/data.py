"""The verbs for data: look a data set over, download data and weights, and list or clear the cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpo.cli.options import data_option, dataset_option, named_values
from hpo.errors import MachineError, Mistake, TaskError

if TYPE_CHECKING:
    from hpo.trial import Scalar
    from trainables.data.dataset import DataSet


@click.command()
@click.argument("name")
@dataset_option
@data_option
def data(name: str, options: tuple[str, ...], folder: str | None) -> None:
    """Look a data set over: classes, sizes, mean and deviation, and what is broken in it."""
    from hpo.record import data_folder
    from trainables.data import dataset_report, heldout

    values = named_values(options)
    # Both parts are read, to find images that stand in both. Nothing is trained or evaluated.
    dataset = _built(_plugin(name, values), name, values, data_folder(folder))
    for line in dataset_report.lines(
        dataset_report.report(dataset.training(), heldout.held_out(dataset), dataset.classes)
    ):
        click.echo(line)


@click.command()
@click.option("--model", help="A model whose ImageNet weights to download.")
@click.option("--dataset", help="A data set to download.")
@dataset_option
@data_option
def fetch(model: str | None, dataset: str | None, options: tuple[str, ...], folder: str | None) -> None:
    """Download weights and data, for a machine that will be offline."""
    from hpo.record import data_folder

    if model is None and dataset is None:
        raise Mistake("say what to download: --model, --dataset or both")
    values, root = named_values(options), data_folder(folder)
    if model is not None:
        click.echo(f"{model}: {_fetch_weights(model, root)}")
    if dataset is not None:
        _fetch_dataset(dataset, values, root)
        click.echo(f"{dataset}: {root}")


@click.command()
@click.option("--clear", is_flag=True, help="Delete all of it.")
@click.option("--remove", metavar="ENTRY", help="Delete one entry, by its name.")
def cache(clear: bool, remove: str | None) -> None:
    """List the decoded images and features that are kept on disk ($HPO_CACHE), or delete them.

    What is deleted is computed again when it is needed. $HPO_CACHE_GB limits the size, HPO_CACHE=off turns it off.
    """
    from hpo import cache

    if clear and remove is not None:
        raise Mistake("--clear deletes all, --remove one entry: give one of them")
    if clear or remove is not None:
        click.echo(cache.clear(remove))
        return
    for line in cache.lines():
        click.echo(line)


def _fetch_weights(model: str, root: Path) -> Path:
    """Download a model's ImageNet weights unless they are there; the file they stand in."""
    family = _loaded("trainables.models", model)
    if not hasattr(family, "WEIGHTS"):
        raise Mistake(f"--model {model}: there are no ImageNet weights of this model")
    path: Path = root / "weights" / family.WEIGHTS
    if not path.exists():
        _download(f"the weights of {model}", path, lambda: family.fetch(path))
    return path


def _fetch_dataset(dataset: str, options: Mapping[str, Scalar], root: Path) -> None:
    """Download a data set unless it is there, and check that it can be read."""
    plugin = _plugin(dataset, options)
    if hasattr(plugin, "fetch"):
        _download(f"the data set {dataset}", root, lambda: plugin.fetch(root, **options))
    _built(plugin, dataset, options, root)


def _plugin(name: str, options: Mapping[str, Scalar]) -> Any:
    """The module of a data set; a Mistake where its name or one of the options is wrong."""
    from hpo import plugins
    from hpo.space import DatasetSpec

    found = plugins.data_problems("dataset", DatasetSpec(name, options))
    problems = [f"--option {keys[2]}: {text}" if len(keys) > 2 else text for keys, text in found]
    if problems:
        raise Mistake("\n".join(problems))
    return _loaded(plugins.DATASETS, name)


def _loaded(package: str, name: str) -> Any:
    """A plug-in; a Mistake where it has no such variant, or where a package that it needs is missing."""
    from hpo import plugins
    from trainables import errors

    try:
        return plugins.load(package, name)
    except errors.SetupError as error:
        raise Mistake(str(error)) from error


def _built(plugin: Any, name: str, options: Mapping[str, Scalar], folder: Path) -> DataSet:
    from trainables import errors

    try:
        dataset: DataSet = plugin.build(folder, **options)
    except (errors.SetupError, ValueError) as error:
        absent = [option for option in getattr(plugin, "OPTIONS", ()) if option not in options]
        missing = next((option for option in absent if f"`dataset.{option}`" in str(error)), None)
        remedy = f"; here by --option {missing}=..." if missing else ""
        raise TaskError(f"data set {name!r}: {error}{remedy}") from error
    return dataset


def _download(what: str, target: Path, run: Callable[[], None]) -> None:
    """Run a download. Libraries raise whatever their servers and the network make of it."""
    from trainables import errors

    try:
        run()
    except errors.SetupError as error:  # says what and where to by itself
        raise MachineError(str(error)) from error
    except Exception as error:
        raise MachineError(
            f"{what} cannot be downloaded: {errors.reason(error)}; "
            f"fetch it where there is a connection, and copy it to {target}"
        ) from error

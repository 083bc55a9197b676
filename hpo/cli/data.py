"""The commands for data: check a data set, download data and weights, and list or clear the cache."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpo.cli import typed_names
from hpo.cli.options import data_option, dataset_option, named_values
from hpo.cli.printing import print_line
from hpo.errors import MachineError, TaskError, UnknownName, UserError

TABLES = ("classes.csv", "near_copies.csv")
"""The files that `hpo data --out` writes."""

if TYPE_CHECKING:
    import pandas as pd

    from hpo.space import DatasetSpec
    from hpo.trial import Scalar
    from trainables.data.dataset import DataSet
    from trainables.data.decoding import DecodingOptions


@click.command()
@click.argument("name")
@dataset_option
@click.option("--fixed", multiple=True, metavar="K=V", help="How files are read, as in a space: background=white.")
@click.option(
    "--near-copies",
    "distance",
    default=4,
    show_default=True,
    type=click.IntRange(-1, 16),
    help="List images of different parts whose perceptual hashes differ in at most so many of 64 bits. -1: none.",
)
@click.option(
    "--out",
    metavar="FOLDER",
    type=click.Path(file_okay=False),
    help="Write near_copies.csv and classes.csv into this folder.",
)
@data_option
def data(
    name: str, options: tuple[str, ...], fixed: tuple[str, ...], distance: int, out: str | None, folder: str | None
) -> None:
    """Check a data set: classes, sizes, mean and deviation, files left out or broken, and copies in two parts."""
    from hpo.record import data_folder
    from trainables import errors
    from trainables.data import dataset_report, heldout, part_counts, splits

    values, decoding = named_values(options), _decoding_options(fixed)
    # Both parts are read, to find images that are in both. Nothing is trained or evaluated.
    dataset = _build_dataset(*_load_dataset_plugin(name, values), data_folder(folder))
    try:
        searched, held_out = splits.search_images(dataset)[0], heldout.held_out(dataset)
        report = dataset_report.report(
            searched,
            held_out,
            dataset.classes,
            left_out=getattr(dataset, "left_out", ()),
            decoding=decoding,
        )
        counts = part_counts.line_without_split(dataset, searched, held_out)
    except errors.SetupError as error:  # such as a mistake in a data set in the user's own code
        raise TaskError(f"data set {name!r}: {error}") from error
    for line in [counts, *dataset_report.lines(report), *getattr(dataset, "notes", ())]:
        print_line(line)
    _report_parts(dataset, decoding, distance, None if out is None else Path(out))


@click.command()
@click.option("--model", help="A model whose ImageNet weights to download.")
@click.option("--dataset", help="A data set to download.")
@dataset_option
@data_option
def fetch(model: str | None, dataset: str | None, options: tuple[str, ...], folder: str | None) -> None:
    """Download weights and data, for a machine that will be offline."""
    from hpo.record import data_folder

    if model is None and dataset is None:
        raise UserError("say what to download: --model, --dataset or both")
    if options and dataset is None:
        raise UserError(f"--option {options[0]}: is for a data set; name it by --dataset")
    values, root = named_values(options), data_folder(folder)
    if model is not None:
        click.echo(f"{model}: {fetch_weights(model, root)}")
    if dataset is not None:
        _fetch_dataset(dataset, values, root)
        click.echo(f"{dataset}: {root}")


@click.command()
@click.option("--clear", is_flag=True, help="Delete the whole cache.")
@click.option("--remove", metavar="ENTRY", help="Delete one entry, by its name.")
def cache(clear: bool, remove: str | None) -> None:
    """List the decoded images and features that are kept on disk ($HPO_CACHE), or delete them.

    Deleted entries are computed again when they are needed. $HPO_CACHE_GB limits the size of the cache,
    HPO_CACHE=off turns it off.
    """
    from hpo import cache

    if clear and remove is not None:
        raise UserError("give either --clear (all entries) or --remove ENTRY, not both")
    if clear or remove is not None:
        click.echo(cache.clear(remove))
        return
    for line in cache.lines():
        print_line(line)


def _report_parts(dataset: DataSet, decoding: DecodingOptions, distance: int, out: Path | None) -> None:
    """Print the shares of the classes in the parts and the near-copies between parts, and write both as CSV files."""
    from hpo.space import Validation
    from trainables.data import heldout, part_checks
    from trainables.data.part_checks import class_shares, near_copies

    default = Validation()
    assert default.fraction is not None, "the default is a fraction"
    named = part_checks.parts_of(dataset, heldout.held_out(dataset), fraction=default.fraction, seed=default.seed)
    parts = named.parts
    if named.note is not None:
        print_line(named.note)
    shares = class_shares.compute(parts, dataset.classes)
    click.echo("\n" + "\n".join(class_shares.lines(shares, list(parts))))
    tables = {"classes.csv": class_shares.table(shares, list(parts))}
    if distance >= 0 and part_checks.are_files(parts):
        found = near_copies.find(parts, dataset.classes, decoding, distance=distance)
        click.echo("\n" + "\n".join(near_copies.lines(found, distance)))
        tables["near_copies.csv"] = near_copies.table(found)
    if out is not None:
        _write_tables(out, tables)


def _write_tables(folder: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write the tables into a folder. A table of an earlier report that is not computed now is deleted."""
    from trainables.store import atomic

    folder.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        if name in tables:
            atomic.write(folder / name, functools.partial(tables[name].to_csv, index=False))
            click.echo(f"{name}: {folder / name}")
        else:
            atomic.remove(folder / name)


def _decoding_options(fixed: tuple[str, ...]) -> DecodingOptions:
    """The options for reading files that `--fixed` gives. A UserError where a name or value is wrong."""
    from trainables.data import preprocessing

    values = named_values(fixed, "--fixed")
    for name in values:
        if name not in preprocessing.DECODING_KEYS:
            raise UnknownName("option for reading files (--fixed)", name, preprocessing.DECODING_KEYS)
    try:
        return preprocessing.decoding_options(values)
    except ValueError as error:
        raise UserError(f"--fixed: {error}") from error


def fetch_weights(model: str, root: Path) -> Path:
    """Download a model's ImageNet weights unless they are there. Returns their path."""
    family = typed_names.load("trainables.models", model)
    if not hasattr(family, "WEIGHTS"):
        raise UserError(f"--model {model}: there are no ImageNet weights of this model")
    path: Path = root / "weights" / family.WEIGHTS
    if not path.exists():
        _download(f"the weights of {model}", path, lambda: family.fetch(path))
    return path


def _fetch_dataset(dataset: str, options: Mapping[str, Scalar], root: Path) -> None:
    """Download a data set unless it is there, and check that it can be read."""
    from trainables.assembly.dataset_building import check_paths

    plugin, spec = _load_dataset_plugin(dataset, options)

    def run() -> None:
        given = {**spec.options, **spec.paths}
        check_paths(plugin, root, given, spec.looked_in)
        plugin.fetch(root, **given)

    if hasattr(plugin, "fetch"):
        _download(f"the data set {dataset}", root, run)
    _build_dataset(plugin, spec, root)


def _load_dataset_plugin(name: str, options: Mapping[str, Scalar]) -> tuple[Any, DatasetSpec]:
    """The module of a data set, and its options with their paths. A UserError if its name or an option is wrong."""
    from hpo import plugins
    from hpo.space import DatasetSpec

    folders = [Path()]
    spec = DatasetSpec(name, options)
    found = plugins.data_problems("dataset", spec, folders)
    problems = [f"--option {keys[2]}: {text}" if len(keys) > 2 else text for keys, text in found]
    if problems:
        raise UserError("\n".join(problems))
    spec = plugins.located_data(spec, folders)
    return typed_names.load(plugins.DATASETS, spec.plugin), spec


def _build_dataset(plugin: Any, spec: DatasetSpec, folder: Path) -> DataSet:
    from trainables import errors
    from trainables.assembly.dataset_building import build_dataset

    try:
        return build_dataset(plugin, folder, {**spec.options, **spec.paths}, looked_in=spec.looked_in)
    except (errors.SetupError, ValueError) as error:
        absent = [option for option in getattr(plugin, "OPTIONS", ()) if option not in spec.options]
        missing = next((option for option in absent if f"`dataset.{option}`" in str(error)), None)
        remedy = f"; here by --option {missing}=..." if missing else ""
        prefix = "" if str(error).startswith("data set ") else f"data set {spec.name!r}: "
        raise TaskError(f"{prefix}{error}{remedy}") from error


def _download(what: str, target: Path, run: Callable[[], None]) -> None:
    """Run a download. Every error becomes a MachineError, but what the user must mend becomes a TaskError."""
    from trainables import errors

    try:
        run()
    except errors.DownloadError as error:  # its message names the file and the target already
        raise MachineError(str(error)) from error
    except errors.SetupError as error:
        raise TaskError(f"{what.removeprefix('the ')}: {error}") from error
    except Exception as error:
        raise MachineError(
            f"{what} cannot be downloaded: {errors.reason(error)}; "
            f"download it on a machine with a connection, and copy it to {target}"
        ) from error

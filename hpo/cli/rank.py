"""The command rank: which pretrained model suits a data set, by its features alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpo.cli import completion, typed_names
from hpo.cli.options import check_format, data_option, dataset_option, named_values
from hpo.cli.printing import print_line
from hpo.cli.rank_errors import in_options
from hpo.cli.ranking_output import check_out, print_ranking, write_space
from hpo.errors import MachineError, UserError, nearest, shortened

if TYPE_CHECKING:
    from hpo.space import SearchSpace
    from hpo.training.ranking import Ranking

FORMATS = ("table", "csv", "md", "latex", "html", "json")
PREPROCESSING = "trainables.data.preprocessing"
"""The module whose hyperparameters say how images are read and prepared."""
DEFAULT_TOP = 3


@click.command()
@click.option(
    "--dataset",
    required=True,
    shell_complete=completion.plug_ins("dataset"),
    help="A data set as in a space: pacs, or {name: pacs, domain: cartoon}.",
)
@dataset_option
@click.option(
    "--models",
    shell_complete=completion.models,
    help="The models to rank, with commas between them: resnet18,timm:resnet50.",
)
@click.option("--size", type=click.Choice(["small", "base"]), help="Rank a list of models of this size instead.")
@click.option("--weights", default="imagenet", show_default=True, help="imagenet, or the path of a state dict.")
@click.option("--fetch", is_flag=True, help="Download ImageNet weights that are missing.")
@click.option("--fixed", multiple=True, metavar="K=V", help="How images are prepared, as in a space: image_size=128.")
@click.option("--folds", type=click.IntRange(2), default=5, show_default=True, help="Folds of the cross-validation.")
@click.option("--group", help="Images that stay together, as in a space: folder, or a regular expression.")
@click.option("--devices", default="auto", show_default=True, help="auto, cpu or cuda:0; the first one is used.")
@click.option("--out", type=click.Path(path_type=Path), help="Write a space with the best models to this file.")
@click.option("--top", type=click.IntRange(1), help=f"Models in that space at most, {DEFAULT_TOP} by default.")
@click.option("--format", "format", default="table", show_default=True, help=", ".join(FORMATS) + ".")
@data_option
def rank(
    dataset: str,
    options: tuple[str, ...],
    models: str | None,
    size: str | None,
    weights: str,
    fetch: bool,
    fixed: tuple[str, ...],
    folds: int,
    group: str | None,
    devices: str,
    out: Path | None,
    top: int | None,
    format: str,
    folder: str | None,
) -> None:
    """Rank pretrained models on a data set, by a linear probe on their features.

    The probe is a cross-validated ridge regression. The features are computed once for each model, and a later search
    of it finds them. Held-out images are not read.

    \b
    hpo rank --dataset caltech101 --models resnet18,resnet50
    hpo rank --dataset "{name: image_folder, folder: flowers}" --size small --fetch --out flowers.yaml
    """
    from hpo import cache
    from hpo.record import data_folder

    check_format(format, FORMATS)
    check_out(out, top)
    names, values = _names(models, size), _fixed(fixed)
    validation = {"folds": folds, **({} if group is None else {"group": group})}
    content = _dataset(dataset, options)
    with in_options():
        space = _space(content, names, weights, validation, values)
    cache.check()
    if fetch:
        _fetch(names, weights, data_folder(folder))
    with in_options():
        found = _ranked(space, names, data_folder(folder), devices)
    print_ranking(found, format)
    if out is not None:
        write_space(out, found, space, top or DEFAULT_TOP)


def _ranked(space: SearchSpace, names: tuple[str, ...], root: Path, devices: str) -> Ranking:
    """Rank the models on the data set of `space`, and print a line for each."""
    from hpo.devices import main_device
    from hpo.training import ranking

    return ranking.rank(
        space.task,
        _announced(names),
        root,
        config=space.fixed,
        device=main_device(devices),
        notify=lambda line: print_line(line, err=True),
    )


def _announced(names: tuple[str, ...]) -> Iterator[str]:
    """Yield the models, and print each before it is ranked."""
    for number, name in enumerate(names, start=1):
        print_line(f"{name} ({number} of {len(names)})", err=True)
        yield name


def _names(models: str | None, size: str | None) -> tuple[str, ...]:
    """The names of the models of `--models`, with commas between them, or of `--size`. Each counts once."""
    from hpo.training.ranking import SIZES

    if (models is None) == (size is None):
        raise UserError("say which models to rank: --models or --size, and only one of them")
    if models is None:
        return SIZES[str(size)]
    names = tuple(dict.fromkeys(name.strip() for name in models.split(",")))
    if not all(names):
        raise UserError(f"--models {models}: write names of models with commas between them: resnet18,timm:resnet50")
    _check_variants(names)
    return names


def _check_variants(names: tuple[str, ...]) -> None:
    """Raise UserError if a family of models has no network of a name, such as `timm:resnt50`, or is not installed."""
    for name in names:
        if ":" in name:
            typed_names.load("trainables.models", name, option="--models")


def _fixed(texts: tuple[str, ...]) -> dict[str, Any]:
    """The values of `--fixed`. A UserError for a hyperparameter that does not change the features of an image."""
    from hpo import plugins

    values = named_values(texts, "--fixed")
    allowed = {*(plugins.hyperparameters(PREPROCESSING) or {}), "precision"}
    for name in values:
        if name not in allowed:
            hint = nearest(name, allowed, max_length=math.inf)
            raise UserError(f"--fixed {shortened(name)}: says nothing about how images are prepared{hint}")
    return values


def _dataset(text: str, options: tuple[str, ...]) -> dict[str, Any]:
    """The data set as the content of a space file: its name and its options."""
    from hpo.spacefile import yaml_text

    parsed = yaml_text.parse_value(text)
    if parsed.mistakes or not isinstance(parsed.value, str | Mapping):
        raise UserError(f"--dataset {text}: write a name, or {{name: pacs, domain: cartoon}}")
    content = {"name": parsed.value} if isinstance(parsed.value, str) else dict(parsed.value)
    given = named_values(options)
    if doubled := sorted(content.keys() & given.keys()):
        raise UserError(f"--option {doubled[0]}: --dataset gives it already")
    return {**content, **given}


def _space(
    dataset: Mapping[str, Any],
    names: tuple[str, ...],
    weights: str,
    validation: Mapping[str, Any],
    fixed: Mapping[str, Any],
) -> SearchSpace:
    """The space of these models with the regime closed_form. It is only checked, not searched."""
    from hpo import spacefile

    task = {
        "regime": "closed_form",
        "model": list(names),
        "weights": weights,
        "dataset": dict(dataset),
        "validation": dict(validation),
    }
    return spacefile.parse({"task": task, "fixed": dict(fixed), "fidelity": {"high": 1}}, name="rank")


def _fetch(names: tuple[str, ...], weights: str, root: Path) -> None:
    """Download missing ImageNet weights. Where this fails, a line says why, and the ranking skips the model.

    Raises UserError if `weights` are not those of ImageNet.
    """
    from hpo.cli.data import fetch_weights

    if weights != "imagenet":
        raise UserError(f"--fetch: downloads ImageNet weights only, but --weights is {weights}; leave one of them out")
    for name in names:
        try:
            fetch_weights(name, root)
        except (MachineError, UserError) as error:
            print_line(f"{name}: {error}", err=True)

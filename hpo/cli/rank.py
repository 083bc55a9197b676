"""The command rank: which pretrained model suits a data set, by its features alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpo.cli import completion
from hpo.cli.options import check_format, data_option, dataset_option, named_values
from hpo.cli.printing import print_command, print_line
from hpo.errors import MachineError, UserError
from hpo.quantities import with_plural

if TYPE_CHECKING:
    from pandas import DataFrame

    from hpo.space import SearchSpace
    from hpo.training.ranking import Ranking

FORMATS = ("table", "csv", "md", "latex", "html", "json")


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
@click.option("--top", type=click.IntRange(1), default=3, show_default=True, help="Models in that space at most.")
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
    top: int,
    format: str,
    folder: str | None,
) -> None:
    """Rank pretrained models on a data set, by a linear probe of their features.

    The features are computed once for each model, and a later search of it finds them. Held-out images are not read.

    \b
    hpo rank --dataset caltech101 --models resnet18,resnet50
    hpo rank --dataset "{name: image_folder, folder: flowers}" --size small --fetch --out flowers.yaml
    """
    from hpo import cache
    from hpo.devices import main_device
    from hpo.record import data_folder
    from hpo.training import ranking

    check_format(format, FORMATS)
    if (models is None) == (size is None):
        raise UserError("say which models to rank: --models or --size, and only one of them")
    names = ranking.SIZES[size] if size is not None else _names(models or "")
    validation = {"folds": folds, **({} if group is None else {"group": group})}
    space = _space(_dataset(dataset, options), names, weights, validation, named_values(fixed, "--fixed"))
    cache.check()
    root = data_folder(folder)
    if fetch and weights == "imagenet":
        _fetch(names, root)
    found = ranking.rank(
        space.task,
        _announced(names),
        root,
        config=space.fixed,
        device=main_device(devices),
        notify=lambda line: print_line(line, err=True),
    )
    _print(found, format)
    if out is not None:
        _write(out, found, space, top)


def _announced(names: tuple[str, ...]) -> Iterator[str]:
    """Yield the models, and print each before it is ranked."""
    for number, name in enumerate(names, start=1):
        print_line(f"{name} ({number} of {len(names)})", err=True)
        yield name


def _names(models: str) -> tuple[str, ...]:
    """The names of models with commas between them. Each counts once."""
    names = tuple(dict.fromkeys(name.strip() for name in models.split(",")))
    if not all(names):
        raise UserError(f"--models {models}: write names of models with commas between them: resnet18,timm:resnet50")
    return names


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


def _fetch(names: tuple[str, ...], root: Path) -> None:
    """Download missing ImageNet weights. A model whose weights cannot be downloaded is ranked without them: skipped."""
    from hpo.cli.data import fetch_weights

    for name in names:
        try:
            fetch_weights(name, root)
        except (MachineError, UserError) as error:
            print_line(f"{name}: {error}", err=True)


def _print(found: Ranking, format: str) -> None:
    """Print the ranking as a table, or in another format."""
    from hpo.results import render

    frame = _frame(found, is_text=format == "table")
    if format != "table":
        click.echo(render(frame, format), nl=False)
        return
    from tabulate import tabulate

    headers = list(map(str, frame))
    click.echo(tabulate(frame.to_numpy().tolist(), headers, tablefmt="simple", disable_numparse=True))
    click.echo()
    how = (
        f"{found.validation.folds} folds of the search part"
        if found.validation.folds
        else "the validation part of the data set"
    )
    print_line(
        f"Accuracy of a ridge regression on the frozen features: {with_plural(found.n_images, 'image')}, {how}, each "
        "classified by a regression that was not fitted on it."
    )
    if len(found.models) > 1:
        print_line(_comparison(found))


def _comparison(found: Ranking) -> str:
    """Which models cannot be told apart from the best, in words."""
    best, *others = found.models
    alike = [each.model for each in others if each.as_good]
    if not alike:
        return f"{best.model} is better than {', '.join(each.model for each in others)}."
    return f"{', '.join(alike)} cannot be told apart from {best.model}."


def _frame(found: Ranking, *, is_text: bool) -> DataFrame:
    """The ranking as a table. With `is_text`, its numbers are rounded for people."""
    from pandas import DataFrame

    if not is_text:
        rows = [{**vars(each), "image_size": each.image_size[0]} for each in found.models]
        return DataFrame(rows)
    return DataFrame(
        [
            {
                "model": each.model,
                "accuracy": f"{each.accuracy:.4f}",
                "95 % interval": f"{each.low:.4f} to {each.high:.4f}",
                "as good": "yes" if each.as_good else "no",
                "LogME": f"{each.logme:.4f}",
                "ms an image": f"{1000 * each.seconds_per_image:.1f}",
                "weights": f"{each.n_parameters / 1e6:.1f} M",
                "features": f"{each.n_features:,}",
                "pixels": f"{each.image_size[0]}",
            }
            for each in found.models
        ]
    )


def _write(path: Path, found: Ranking, space: SearchSpace, top: int) -> None:
    """Write a space with the best models: the best, and those that cannot be told apart from it."""
    from hpo import spacefile
    from hpo.record import write_text

    dataset, chosen = space.task.dataset, [each for each in found.models if each.as_good][:top]
    assert dataset is not None, "the command has a data set"
    validation: dict[str, Any] = {}
    if found.validation.folds:
        group = found.validation.group
        validation = {"fraction": 0.2, "seed": 42, **({} if group is None else {"group": group})}
    n_models = with_plural(len(found.models), "model")
    comment = [
        f"A linear probe and fine-tuning on {dataset.name}, with the best of {n_models}.",
        "",
        "By `hpo rank`, the accuracy of a linear probe and its 95 % interval:",
        *(f"{each.model}: {each.accuracy:.4f} ({each.low:.4f} to {each.high:.4f})" for each in chosen),
    ]
    text = spacefile.transfer_space(
        [each.model for each in chosen],
        dataset,
        weights=space.task.weights,
        validation=validation,
        fixed=space.fixed,
        comment=comment,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    spacefile.read(path)  # raises an error with the line if the file is no valid space
    print_line(f"{path}: a space with {with_plural(len(chosen), 'model')}", err=True)
    print_command("next: ", f"hpo search --space {path}")

"""What the command rank prints and writes: the table of the models, and a space with the best of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpo.cli.printing import print_command, print_line, terminal_width
from hpo.errors import SpaceFileError, UserError
from hpo.quantities import with_plural

if TYPE_CHECKING:
    from pandas import DataFrame

    from hpo.space import SearchSpace
    from hpo.training.ranking import RankedModel, Ranking

MARK = "By `hpo rank`"
"""How a line of the comment begins by which a file that `hpo rank` wrote is known."""
LESS_IMPORTANT = ("image_size", "features", "parameters", "logme", "ms_per_image")
"""The columns that a narrow table leaves out, the first that goes first."""


def print_ranking(found: Ranking, format: str) -> None:
    """Print the ranking as a table, or in another format. All have the same columns."""
    from hpo.results import render

    frame = _frame(found)
    if format != "table":
        click.echo(render(frame, format), nl=False)
        return
    _print_table(frame)
    how = (
        f"{found.validation.folds} folds of the search part"
        if found.validation.folds
        else "the validation part of the data set"
    )
    grouped = f" of {with_plural(found.n_groups, 'group')}" if found.n_groups is not None else ""
    print_line(
        "accuracy, low, high: that of a linear probe on the frozen features, and its 95 % interval; "
        f"{with_plural(found.n_images, 'image')}{grouped}, {how}, each classified by a probe that was not fitted on it."
    )
    if found.n_groups is not None and found.n_groups < found.n_images:
        print_line("The intervals take the groups as independent.")
    if len(found.models) > 1:
        print_line(_comparison(found))


def _print_table(frame: DataFrame) -> None:
    """Print the columns that fit the width of the output. A line says which do not."""
    shown, width, left_out = _in_words(frame), terminal_width(), list[str]()
    for name in LESS_IMPORTANT:
        if width is None or max(map(len, _lines(shown))) <= width:
            break
        shown = shown.drop(columns=name)
        left_out.insert(0, name)
    for line in _lines(shown):
        click.echo(line)
    click.echo()
    if left_out:
        print_line(f"Too wide for the table: {', '.join(left_out)}. `--format csv` has all columns.")


def _lines(shown: DataFrame) -> list[str]:
    """The lines of a table. The names of the models are aligned to the left, all else to the right."""
    width = max(map(len, shown["model"]))
    aligned = shown.assign(model=shown["model"].str.ljust(width)).rename(columns={"model": "model".ljust(width)})
    return str(aligned.to_string(index=False)).splitlines()


def _comparison(found: Ranking) -> str:
    """Which models cannot be told apart from the best, in words."""
    best, *others = found.models
    alike = [each.model for each in others if each.as_good]
    if not alike:
        return f"{best.model} is better than {', '.join(each.model for each in others)}."
    return f"{', '.join(alike)} cannot be told apart from {best.model}."


def _frame(found: Ranking) -> DataFrame:
    """The ranking as a table, with all digits."""
    from pandas import DataFrame

    return DataFrame(
        [
            {
                "model": each.model,
                "accuracy": each.accuracy,
                "low": each.low,
                "high": each.high,
                "as_good": each.as_good,
                "logme": each.logme,
                "ms_per_image": 1000 * each.seconds_per_image,
                "parameters": each.n_parameters,
                "features": each.n_features,
                "image_size": each.image_size[0],
            }
            for each in found.models
        ]
    )


def _in_words(frame: DataFrame) -> DataFrame:
    """The table with its numbers rounded for people."""
    shown = frame.astype(object)
    for names, words in (
        (("accuracy", "low", "high", "logme"), "{:.4f}".format),
        (("ms_per_image",), "{:.1f}".format),
        (("as_good",), lambda value: "yes" if value else "no"),
        (("parameters",), lambda value: f"{value / 1e6:.1f} M"),
        (("features",), "{:,}".format),
    ):
        for name in names:
            shown[name] = frame[name].map(words).astype(object)
    return shown


def check_out(path: Path | None, top: int | None) -> None:
    """Raise UserError if `--out` cannot be written, or names a file that `hpo rank` has not written.

    `top` is the option of this name, None if it was not given: it needs `path`.
    """
    from hpo.results.rendering import check_output

    if path is None:
        if top is not None:
            raise UserError(f"--top {top}: it says how many models --out writes; add --out FILE")
        return
    check_output(path)
    if path.exists() and not _is_ours(path):
        raise UserError(f"--out {path}: `hpo rank` has not written this file, so it is not replaced; name another one")


def _is_ours(path: Path) -> bool:
    """Whether `hpo rank` has written a file: its comment at the top says so."""
    try:
        with path.open(encoding="utf-8") as file:
            return any(line.startswith(f"# {MARK}") for line in itertools.takewhile(lambda each: each[:1] == "#", file))
    except (OSError, UnicodeDecodeError):
        return False


def write_space(path: Path, found: Ranking, space: SearchSpace, top: int) -> None:
    """Write a space with the best models: the best, and those that cannot be told apart from it.

    Raises SpaceFileError if the text is no valid space. Then no file is written.
    """
    from hpo import spacefile
    from hpo.record import write_text
    from hpo.spacefile import yaml_text

    chosen = [each for each in found.models if each.as_good][:top]
    text = _space_text(found, chosen, space)
    parsed = yaml_text.parse(text)
    if parsed.mistakes:
        raise SpaceFileError(f"{path}:{line}: {mistake}" for line, _, mistake in parsed.mistakes)
    spacefile.parse(parsed.value, name=path.stem, source=str(path))
    write_text(path, text)
    print_line(f"{path}: a space with {with_plural(len(chosen), 'model')}", err=True)
    print_command("next: ", f"hpo search --space {path}")


def _space_text(found: Ranking, chosen: Sequence[RankedModel], space: SearchSpace) -> str:
    """The text of the file: a space with the models of `chosen`, and how good they are in the comment at its top."""
    from hpo import spacefile

    dataset = space.task.dataset
    assert dataset is not None, "the command has a data set"
    validation: dict[str, Any] = {}
    if found.validation.folds:
        group = found.validation.group
        validation = {"fraction": 0.2, "seed": 42, **({} if group is None else {"group": group})}
    n_models = with_plural(len(found.models), "model")
    comment = [
        f"A linear probe and fine-tuning on {dataset.name}, with the best of {n_models}.",
        "",
        f"{MARK}, the accuracy of a linear probe and its 95 % interval:",
        *(f"{each.model}: {each.accuracy:.4f} ({each.low:.4f} to {each.high:.4f})" for each in chosen),
    ]
    return spacefile.transfer_space(
        [each.model for each in chosen],
        dataset,
        weights=space.task.weights,
        validation=validation,
        fixed=space.fixed,
        comment=comment,
    )

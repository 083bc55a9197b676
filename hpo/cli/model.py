"""The command that writes the model of a study: model."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli.options import out_option, skip_changed_files_option, study_argument
from hpo.cli.printing import print_line


@click.command()
@out_option("The model folder to write.", required=True)
@click.option("--trial", type=click.IntRange(0), help="The trial to write; the best by default.")
@click.option(
    "--train-on",
    help="train, train+validation, or all: the held-out images too. By default what was tested, or train.",
)
@click.option(
    "--format", "formats", multiple=True, help="Write it in this format too: onnx, or torch (torch.export). Repeatable."
)
@click.option("--soup", is_flag=True, help="Write the average of trials that `hpo soup` made.")
@click.option("--overwrite", is_flag=True, help="Replace the model folder if there is one.")
@skip_changed_files_option
@study_argument
def model(
    name: str,
    out: Path,
    trial: int | None,
    train_on: str | None,
    formats: tuple[str, ...],
    soup: bool,
    overwrite: bool,
    skip_changed_files: bool,
    studies: Path,
) -> None:
    """Write the best configuration as a model folder: weights, description, and code that loads it."""
    from hpo.final_model import ModelOptions, write_model
    from hpo.results.progress import epoch_progress, print_note

    options = ModelOptions(trial, train_on, formats, overwrite, skip_changed_files, soup)
    with epoch_progress() as watch:
        written = write_model(studies / name, out, options, notify=print_note, watch=watch)
    for line in written.lines:
        print_line(line)
    click.echo(f"\nThe model:  {out}\nHow to use it:  {out / 'README.md'}")

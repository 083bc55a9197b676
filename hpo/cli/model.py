"""The command that writes the model of a study: model."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli.options import skip_changed_files_option, studies_option


@click.command()
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The model folder to write.")
@click.option("--trial", type=click.IntRange(0), help="The trial to write; the best by default.")
@click.option(
    "--train-on",
    default="train",
    show_default=True,
    help="train, or train again on train+validation, or on all: the held-out images too.",
)
@click.option(
    "--format", "formats", multiple=True, help="Write it in this format too: onnx, or torch (torch.export). Repeatable."
)
@click.option("--overwrite", is_flag=True, help="Replace the model folder if there is one.")
@skip_changed_files_option
@studies_option
def model(
    name: str,
    out: Path,
    trial: int | None,
    train_on: str,
    formats: tuple[str, ...],
    overwrite: bool,
    skip_changed_files: bool,
    studies: Path,
) -> None:
    """Write the best configuration as a model folder: weights, description, and code that loads it."""
    from hpo.final_model import write_model
    from hpo.results.progress import print_note

    written = write_model(
        studies / name,
        out,
        trial=trial,
        train_on=train_on,
        formats=formats,
        overwrite=overwrite,
        skip_changed_files=skip_changed_files,
        notify=print_note,
    )
    for line in written.lines:
        click.echo(line)
    click.echo(f"\nThe model:  {out}\nHow to use it:  {out / 'README.md'}")

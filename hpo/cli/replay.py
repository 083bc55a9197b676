"""The command that plays the learning curves of a study under another backend: replay."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli import completion
from hpo.cli.options import check_format, named_values, study_argument
from hpo.cli.printing import print_line


@click.command()
@click.option(
    "--backend",
    required=True,
    shell_complete=completion.plug_ins("backend"),
    help="freeze_thaw, optuna, asha, bohb, random, grid, or your own.",
)
@click.option("--option", "options", multiple=True, metavar="K=V", help="An option of the backend: sampler=gp.")
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="Searches, with seeds 0, 1, ...")
@click.option("--slots", type=click.IntRange(1), default=1, show_default=True, help="Trials that train at once.")
@click.option("--epochs", type=click.IntRange(1), help="Epochs of each search; all that are recorded by default.")
@click.option("--format", "format", default="table", show_default=True, help="table, csv, md, latex, html or json.")
@study_argument
def replay(
    name: str,
    backend: str,
    options: tuple[str, ...],
    seeds: int,
    slots: int,
    epochs: int | None,
    format: str,
    studies: Path,
) -> None:
    """Say what another backend would have saved: it searches the recorded learning curves of a study.

    Nothing is trained, and the study is not changed.
    """
    from hpo.loop import replay_study
    from hpo.results import FORMATS, render

    check_format(format, ("table", *FORMATS))
    found = replay_study(
        studies / name, backend, options=named_values(options), seeds=seeds, slots=slots, epochs=epochs
    )
    as_table = format == "table"
    if as_table:
        print_line(found.title())
        click.echo("\n".join(["", *found.table(), ""]))
    else:
        click.echo(render(found.frame(), format), nl=False)
    for line in [*found.verdict(), *found.caveats()] if as_table else found.caveats():
        print_line(line) if as_table else click.echo(line, err=True)

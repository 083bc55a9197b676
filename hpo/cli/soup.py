"""The command that averages the weights of trials: soup."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli.options import skip_changed_files_option, study_argument
from hpo.cli.printing import print_line


@click.command()
@click.option(
    "--top", type=click.IntRange(2), default=10, show_default=True, help="How many of the best trials may be averaged."
)
@skip_changed_files_option
@study_argument
def soup(name: str, top: int, skip_changed_files: bool, studies: Path) -> None:
    """Average the weights of the best trials, chosen on validation, and test that model on held-out data once."""
    from rich.console import Console

    from hpo.heldout import make_soup
    from hpo.record import SOUP_FILE
    from hpo.results.progress import print_note
    from hpo.results.soup import lines
    from hpo.results.training_progress import TrainingProgress

    file = studies / name / SOUP_FILE
    before = file.stat().st_mtime_ns if file.exists() else None
    with TrainingProgress(Console(stderr=True)) as progress:
        made, record = make_soup(
            studies / name, top, watch_epoch=progress, notify=print_note, skip_changed_files=skip_changed_files
        )
    for line in lines(made, record, is_earlier=before == file.stat().st_mtime_ns):
        print_line(line)

"""The command dashboard."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli.options import study_argument


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@study_argument
def dashboard(name: str, port: int, studies: Path) -> None:
    """Show a study's trials, live, in the browser of this machine. Nothing can be changed or deleted there."""
    from hpo.cli.dashboard_server import serve
    from hpo.record import StudyFolder

    serve(StudyFolder.reopen(studies / name), port)

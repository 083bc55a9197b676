"""The command `hpo`. An HpoError is printed as text, without a traceback, and sets the exit status."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import click

from hpo import __version__
from hpo.cli.child_processes import ended_child_processes
from hpo.cli.dashboard import dashboard
from hpo.cli.data import cache, data, fetch
from hpo.cli.describe import describe
from hpo.cli.fit import fit
from hpo.cli.model import model
from hpo.cli.predict import predict
from hpo.cli.printing import print_line
from hpo.cli.rank import rank
from hpo.cli.replay import replay
from hpo.cli.reports import compare, importance, list_studies, report
from hpo.cli.results import best, export, plot, status, test
from hpo.cli.search import resume, search, spaces
from hpo.cli.soup import soup
from hpo.cli.track import track
from hpo.closed_output import ignore_closed_output
from hpo.errors import HpoError
from trainables.errors import ESCAPES, encodable


class CommandGroup(click.Group):
    """Prints an HpoError as text and sets the exit status. Lists the commands in the order of use."""

    def main(self, *arguments: Any, **keywords: Any) -> Any:
        ignore_closed_output()
        return super().main(*arguments, **keywords)

    def invoke(self, ctx: click.Context) -> Any:
        sys.path.insert(0, os.getcwd())  # the user's own modules, as with `python -m`
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # Names that the terminal's encoding lacks, or that are not UTF-8, are printed with escapes.
                stream.reconfigure(errors=ESCAPES)
        try:
            with ended_child_processes():
                return super().invoke(ctx)
        except HpoError as error:
            for line in f"hpo: {error}".splitlines():
                print_line(line, err=True)
            ctx.exit(error.exit_status)
        except OSError as error:
            click.echo(f"hpo: {encodable(str(error))}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("interrupted; run the same command again to continue", err=True)
            ctx.exit(130)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__)
def app() -> None:
    """Find the best training configuration of an image classifier, and prove it on held-out data."""


for command in (
    spaces,
    describe,
    fit,
    search,
    resume,
    list_studies,
    status,
    best,
    test,
    soup,
    model,
    predict,
    export,
    plot,
    report,
    compare,
    importance,
    replay,
    data,
    rank,
    fetch,
    cache,
    dashboard,
    track,
):
    app.add_command(command)

"""The verb dashboard: optuna-dashboard on the record of a study, served on loopback to this machine alone."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import click

from hpo.cli.options import studies_option
from hpo.errors import Mistake

if TYPE_CHECKING:
    from hpo.record import StudyFolder

HOST = "127.0.0.1"


@click.command()
@click.argument("name")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@studies_option
def dashboard(name: str, port: int, studies: Path) -> None:
    """Show a study's trials, live, in the browser of this machine."""
    from hpo.record import StudyFolder

    _serve(StudyFolder.reopen(studies / name), port)


class _Server(ThreadingMixIn, WSGIServer):
    """Answers requests side by side; none of them outlives it."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    """Does not log each request."""

    def log_message(self, format: str, *arguments: object) -> None:
        return None


def _serve(study: StudyFolder, port: int) -> None:
    """Serve until Ctrl-C, and print the address first. A Mistake where the port is taken."""
    study.ledger(write=False).close()
    try:
        from optuna_dashboard import wsgi
    except ImportError:
        raise Mistake("the dashboard is not installed: pip install 'hpo[dashboard]'") from None
    app = wsgi(study.settings.storage or str(study.folder / "ledger.log"))
    try:
        server = make_server(HOST, port, app, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise Mistake(f"--port {port}: cannot be served on: {error.strerror}; choose another") from None
    # A KeyboardInterrupt that meets a request would be swallowed by the code that answers it.
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(0))
    click.echo(f"http://{HOST}:{server.server_port}/ shows {study.name}; Ctrl-C ends it", err=True)
    server.serve_forever()

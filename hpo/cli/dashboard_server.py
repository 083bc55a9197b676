"""The server behind `hpo dashboard`: optuna-dashboard on the record of a study, for this machine alone."""

from __future__ import annotations

import os
import signal
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import click

from hpo.errors import UserError
from hpo.record import StudyFolder, open_storage

HOST = "127.0.0.1"


class _Server(ThreadingMixIn, WSGIServer):
    """Answers requests side by side; none of them outlives it."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    """Does not log each request."""

    def log_message(self, format: str, *arguments: object) -> None:
        return None


def serve(study: StudyFolder, port: int) -> None:
    """Serve until Ctrl-C, and print the address first. A UserError where the port is taken."""
    study.ledger(write=False).close()
    try:
        from optuna_dashboard import wsgi
    except ImportError:
        raise UserError("the dashboard is not installed: pip install 'hpo[dashboard]'") from None
    app = wsgi(open_storage(study.storage_location, write=False)[0])
    try:
        server = make_server(HOST, port, app, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise UserError(f"--port {port}: cannot be served on: {error.strerror}; choose another") from None
    # A KeyboardInterrupt that meets a request would be swallowed by the code that answers it.
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(0))
    click.echo(f"http://{HOST}:{server.server_port}/ shows {study.name}; Ctrl-C ends it", err=True)
    server.serve_forever()

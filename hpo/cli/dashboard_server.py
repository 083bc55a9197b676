"""The server behind `hpo dashboard`: optuna-dashboard on the record of a study, for this machine alone.

It shows the record and never changes it. Requests that would write are refused, and the storage refuses to be written.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import click

from hpo.errors import UserError
from hpo.record import StudyFolder
from hpo.record.dashboard_view import open_view
from hpo.record.storage import READ_ONLY

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

HOST = "127.0.0.1"
METHODS = ("GET", "HEAD")
"""The methods of the requests that are answered. With all others, optuna-dashboard writes."""
HIDDEN = (
    '[aria-label="delete study"]',
    '[aria-label="rename study"]',
    '[aria-label="delete artifact"]',
    '[aria-label="skip trial"]',
    'button:has([data-testid="EditIcon"])',
    '.MuiCard-root:has([data-testid="EditIcon"])',
    'h5:has(+ * [data-testid="EditIcon"])',
    'a[href$="/note"]',
    'a[href$="/dashboard/"]',
)
"""CSS selectors of what would only be refused: buttons, the editors of notes, and the list of studies."""


class _Server(ThreadingMixIn, WSGIServer):
    """Answers requests side by side; none of them outlives it."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    """Does not log each request."""

    def log_message(self, format: str, *arguments: object) -> None:
        return None


def serve(study: StudyFolder, port: int) -> None:
    """Serve until Ctrl-C, and print the address first. A UserError where the port is taken."""
    view = open_view(study)
    try:
        from optuna_dashboard import wsgi
    except ImportError:
        raise UserError("the dashboard is not installed: pip install 'hpo[dashboard]'") from None
    app = read_only(wsgi(view), f"/dashboard/studies/{view.study_id}")
    try:
        server = make_server(HOST, port, app, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise UserError(f"--port {port}: cannot be served on: {error.strerror}; choose another") from None
    # A KeyboardInterrupt that meets a request would be swallowed by the code that answers it.
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(0))
    click.echo(f"http://{HOST}:{server.server_port}/ shows {study.name}; Ctrl-C ends it", err=True)
    server.serve_forever()


def read_only(app: WSGIApplication, page: str) -> WSGIApplication:
    """Serve `app` without what writes, and send who asks for its first page or its list of studies to `page`.

    Requests that would write are refused with status 403 and the reason, and their buttons are hidden.
    """

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in METHODS:
            start_response("403 Forbidden", [("Content-Type", "application/json")])
            return [json.dumps({"reason": READ_ONLY}).encode()]
        path = environ["PATH_INFO"].rstrip("/")
        if path in ("", "/dashboard"):
            start_response("302 Found", [("Location", page), ("Content-Length", "0")])
            return [b""]
        if path.startswith("/dashboard/"):
            return _without_buttons(app, environ, start_response)
        return app(environ, start_response)

    return answer


def _without_buttons(app: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with the page of the dashboard, with a style that hides the buttons."""
    environ.pop("HTTP_IF_MODIFIED_SINCE", None)  # the page in the browser's cache may be one without the style
    environ.pop("HTTP_RANGE", None)
    # A rule for each selector: a browser leaves out a rule that it does not understand.
    rules = "".join(f"{selector}{{display:none!important}}" for selector in HIDDEN)
    style = f"<style>{rules}</style></head>".encode()

    def start(status: str, headers: list[tuple[str, str]], *error: object) -> object:
        kept = [header for header in headers if header[0].lower() != "content-length"]
        return start_response(status, kept, *error)  # type: ignore[arg-type]

    pages = app(environ, start)  # type: ignore[arg-type]
    try:
        return [b"".join(pages).replace(b"</head>", style, 1)]
    finally:
        if hasattr(pages, "close"):
            pages.close()

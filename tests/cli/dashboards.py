"""Dashboards as processes of their own, and what they answer."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.cli.commands import ROOT


@contextlib.contextmanager
def dashboard(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The dashboard of the study `s`, as its address and its process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "hpo.cli", "dashboard", "s", "--port", str(port)]
    server = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}", server
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(timeout=60)
        finally:
            server.kill()


def get(url: str, server: subprocess.Popen[bytes]) -> dict[str, list[dict[str, Any]]]:
    """The JSON that a dashboard answers. Waits until the dashboard has started."""
    for _ in range(150):
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                content: dict[str, list[dict[str, object]]] = json.load(answer)
                return content
        except OSError:
            assert server.poll() is None
            time.sleep(0.2)
    raise AssertionError("the dashboard did not answer")

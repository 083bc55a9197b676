"""A PostgreSQL server of one's own, in a temporary folder, for tests and benchmarks. It needs Debian's `postgresql`.

It listens on a free port of 127.0.0.1 and asks every user for a password.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
USER, PASSWORD = "tester", "s3cret"
"""The superuser of the server, and the password."""
MISSING = "PostgreSQL's server is not installed (on Debian: apt-get install postgresql)"


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`. None if they are not installed."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((folder for folder in reversed(folders) if (folder / "postgres").exists()), None)


class PostgresqlServer:
    """One server. `stop` keeps its data, so that `start` continues with them."""

    def __init__(self, folder: Path, *options: str) -> None:
        """Initialise a database cluster in `folder` and start the server, with more `options` of `postgres`."""
        binaries = programs()
        if binaries is None:
            raise FileNotFoundError(MISSING)
        self._binaries = binaries
        self._folder = folder
        self._options = options
        self._is_running = False
        self.port = _free_port()
        self.log = folder / "log"
        """The file of the server's messages."""
        account = _account()
        self._as_user: dict[str, Any] = {} if account is None else {"user": account, "extra_groups": []}
        (folder / "password").write_text(PASSWORD)
        if account is not None:
            shutil.chown(folder, account)
            shutil.chown(folder / "password", account)
        encrypted = ("-A", "scram-sha-256", f"--pwfile={folder / 'password'}")
        self._run("initdb", "-U", USER, *encrypted, "-E", "UTF8", "--no-sync")
        self.start()

    def start(self) -> None:
        """Start the server and wait until it answers.

        It is no child of this process: `hpo` kills what was started while a command runs, such as the processes of
        this server that serve its connections.
        """
        where = ["-k", str(self._folder), "-h", HOST, "-p", str(self.port)]
        self._run("pg_ctl", "start", "-w", "-l", str(self.log), "-o", shlex.join([*where, *self._options]))
        self._is_running = True

    def stop(self, *, crash: bool = False) -> None:
        """Stop the server. Its connections are closed. With `crash`, it must recover from its log at the next start."""
        if self._is_running:
            self._is_running = False
            self._run("pg_ctl", "stop", "-w", "-m", "immediate" if crash else "fast")

    def url(self, database: str, user: str = USER, password: str | None = PASSWORD, port: int | None = None) -> str:
        """The URL of a database on this server. `port` may be that of a proxy."""
        secret = "" if password is None else f":{password}"
        return f"postgresql://{user}{secret}@{HOST}:{port or self.port}/{database}"

    def execute(self, *statements: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Execute statements as the superuser. Returns the rows of the last one."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _run(self, program: str, *words: str) -> None:
        """Run a program of the server on its folder of data."""
        command = [str(self._binaries / program), *words, "-D", str(self._folder / "data")]
        # A server that is started keeps what it was given as output open, so that must be no pipe.
        output = self._folder / "output"
        with output.open("wb") as file:
            done = subprocess.run(command, stdout=file, stderr=file, cwd=self._folder, check=False, **self._as_user)
        if done.returncode != 0:
            log = self.log.read_text() if self.log.exists() else ""
            raise RuntimeError(f"{program} failed:\n{output.read_text()}\n{log}")


@contextlib.contextmanager
def postgresql_server(*options: str) -> Iterator[PostgresqlServer]:
    """A server that is stopped and deleted at the end, with these options of `postgres`, such as `-c`, `fsync=off`."""
    folder = Path(tempfile.mkdtemp(prefix="hpo-postgresql-", dir="/tmp"))
    server = None
    try:
        server = PostgresqlServer(folder, *options)
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _account() -> str | None:
    """The account that runs the server if this process is root, because the server refuses to run as root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _free_port() -> int:
    with socket.socket() as server:
        server.bind((HOST, 0))
        return int(server.getsockname()[1])

"""URLs of storages: what is recorded of them, their passwords, and their drivers.

The URL that is recorded and shown has no password. A password that was given in a URL is known as long as the process
runs. Later it is given again, or is in $HPO_STORAGE_PASSWORD, or is found by the database's own library ($PGPASSWORD,
~/.pgpass).
"""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from hpo.errors import UserError, nearest

PASSWORD = "HPO_STORAGE_PASSWORD"
"""The environment variable with the password of a storage whose URL has none."""
SECRETS = ("password", "passwd", "pwd", "sslpassword", "odbc_connect")
"""The names of parameters of a URL that contain a password."""
KINDS = ("sqlite", "postgresql", "mysql")
"""The kinds of databases that Optuna supports."""
DRIVERS = {
    "postgresql": {"psycopg": "psycopg", "psycopg2": "psycopg2"},
    "mysql": {"mysqldb": "MySQLdb", "pymysql": "pymysql"},
}
"""The drivers that a URL without a driver may use, the preferred one first, each with the module that it needs."""

PACKAGES = {"psycopg": "'hpo[postgresql]'", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
"""The packages of modules of drivers that have another name."""

_complete_urls: dict[str, str] = {}
"""The URLs with passwords that were given to this process, by their recorded URLs."""


def recorded_url(url: str | None) -> str | None:
    """Return the URL that is recorded and shown: without a password, and with an absolute path of a SQLite file.

    Raises a UserError if it is no URL, or the URL of a database in memory, which nobody could open later.
    """
    if url is None:
        return None
    parsed = parse(url)
    if parsed.get_backend_name() == "sqlite":
        file = _sqlite_file(parsed)
        if file is None:
            raise UserError(f"storage {url}: is in memory, and lost when the search ends; give a file: sqlite:///s.db")
        prefix = "file:" if str(parsed.database).startswith("file:") else ""
        return parsed.set(database=f"{prefix}{file}").render_as_string(hide_password=False)
    public = URL.create(
        parsed.drivername, parsed.username, None, parsed.host, parsed.port, parsed.database, parsed.query
    ).difference_update_query(SECRETS)
    recorded = public.render_as_string(hide_password=False)
    if parsed != public:
        _complete_urls[recorded] = parsed.render_as_string(hide_password=False)
    return recorded


def complete_url(url: str) -> URL:
    """The URL to connect to, for one that is recorded: with the password, if it is known here, and with a driver."""
    parsed = parse(_complete_urls.get(url, url))
    kind = parsed.get_backend_name()
    if kind != "sqlite" and parsed.password is None and PASSWORD in os.environ:
        parsed = parsed.set(password=os.environ[PASSWORD])
    if parsed.drivername in DRIVERS:
        installed = [driver for driver, module in DRIVERS[kind].items() if find_spec(module) is not None]
        parsed = parsed.set(drivername=f"{kind}+{installed[0]}") if installed else parsed
    return parsed


def driver_package(url: URL, module: str | None) -> str:
    """What to install for a URL, whose driver's `module` is missing. A URL without a driver gets the preferred one."""
    kind, _, driver = url.drivername.partition("+")
    wanted = module or driver if driver else next(iter(DRIVERS[kind].values()))
    return PACKAGES.get(wanted, wanted)


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite storage. None for the URL of any other storage."""
    parsed = parse(url)
    return _sqlite_file(parsed) if parsed.get_backend_name() == "sqlite" else None


def parse(url: str) -> URL:
    """The parts of a URL. Raises a UserError, without the password, if it is not the URL of a database."""
    if not url.strip():
        raise UserError("--storage is empty: write a URL, such as sqlite:///study.db, or leave it out")
    try:
        parsed = make_url(url)
        parsed.get_dialect()
    except NoSuchModuleError:
        kind, _, driver = url.partition(":")[0].partition("+")
        if driver and kind in DRIVERS:
            raise UserError(
                f"storage {_masked(url)}: unknown driver {driver!r} of {kind}{nearest(driver, DRIVERS[kind])}"
            ) from None
        raise UserError(f"storage {_masked(url)}: unknown kind of database {kind!r}{nearest(kind, KINDS)}") from None
    except ImportError:
        pass  # a missing driver is reported when the storage is opened
    except (ArgumentError, ValueError):
        raise UserError(f"storage {_masked(url)}: not a storage URL (one is sqlite:///study.db)") from None
    if "@" in (parsed.host or ""):
        raise UserError(f"storage {_masked(url)}: in a password, write the character @ as %40")
    return parsed


def without_passwords(text: str) -> str:
    """A text with "***" for each password that this process knows."""
    for url in _complete_urls.values():
        for secret in (make_url(url).password, *(make_url(url).query.get(name) for name in SECRETS)):
            text = text.replace(str(secret), "***") if secret else text
    if os.environ.get(PASSWORD):
        text = text.replace(os.environ[PASSWORD], "***")
    return text


def _sqlite_file(url: URL) -> Path | None:
    """The file of the URL of a SQLite database. None if the database is in memory."""
    name = (url.database or "").removeprefix("file:")
    if name in ("", ":memory:") or url.query.get("mode") == "memory" or url.query.get("vfs") == "memdb":
        return None
    return Path(os.path.expanduser(name)).absolute()


def _masked(url: str) -> str:
    """The text of a URL that may be malformed, with "***" for each password."""
    start = "://" if "://" in url else "^"
    text = re.sub(rf"({start}[^:/@]*):.*@", r"\1:***@", url)
    return re.sub(rf"\b({'|'.join(SECRETS)})=[^&]*", r"\1=***", text)

"""A SQLite database that needs a user and a password, as a database server does: `guarded://user:s3cret@/file.db`."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import URL
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

SECRET = "s3cret"


class Guarded(SQLiteDialect_pysqlite):
    """Its error contains the password, as those of some drivers do."""

    supports_statement_cache = True

    def create_connect_args(self, url: URL) -> Any:
        password = url.password or url.query.get("password")
        return [url.database], {"check_same_thread": False, "password": password}

    def connect(self, *arguments: Any, **options: Any) -> Any:
        password = options.pop("password")
        if password != SECRET:
            raise sqlite3.OperationalError(f"password authentication failed: {password!r}")
        return super().connect(*arguments, **options)


registry.register("guarded", __name__, "Guarded")

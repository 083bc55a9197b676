from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from hpo.errors import MachineError, UserError
from hpo.record.storage import check_url, open_storage, storage_errors
from hpo.record.storage_url import recorded_url, sqlite_file
from tests.record.guarded_database import SECRET

WRONG = {
    "sqlite://": "is in memory",
    "sqlite:///:memory:": "is in memory",
    "sqlite:///file:s?mode=memory&uri=true": "is in memory",
    "sqlite:///no/where.db": "there is no folder",
    "sqlite:///~nobody_of_this_name/s.db": "there is no folder",
    "sqlite:///s.db?timeout=soon": "cannot be opened: could not convert string to float: 'soon'",
    "study.db": "not a storage URL",
    "": "--storage is empty",
    "postgres://h/db": "unknown kind of database 'postgres'; did you mean 'postgresql'?",
    f"postgres://me:{SECRET}@h/db": "postgres://me:***@h/db",
    f"me:{SECRET}@h/db": "me:***@h/db",
    f"postgresql://me:{SECRET}@h:port/db": "not a storage URL",
    f"postgresql://me:s3@{SECRET}@h/db": "write the character @ as %40",
    f"postgresql+none://me:{SECRET}@h/db": "unknown driver 'none' of postgresql (allowed: psycopg, psycopg2)",
    f"postgresql+pg8000://me:{SECRET}@h/db": "is not installed: No module named 'pg8000'; pip install pg8000",
}


@pytest.mark.parametrize("url", WRONG)
def test_a_storage_that_cannot_be_opened_is_one_line_without_the_password(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as raised:
        check_url(recorded_url(url))
    assert WRONG[url] in str(raised.value)
    assert SECRET not in str(raised.value)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


URLS = ["sqlite:///s.db", "sqlite+pysqlite:///s.db", "sqlite:///s.db?timeout=30", "sqlite:///file:s.db?uri=true"]


@pytest.mark.parametrize("url", URLS)
def test_the_path_of_a_sqlite_file_is_recorded_whole(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recorded = recorded_url(url)
    assert recorded is not None
    assert recorded == recorded_url(recorded)
    monkeypatch.chdir("/")
    assert sqlite_file(recorded) == tmp_path / "s.db"
    check_url(recorded)
    assert (tmp_path / "s.db").exists()


@pytest.mark.parametrize("query", ["", "?password=other", "?passwd=other&sslmode=require"])
def test_a_recorded_url_has_no_password(query: str) -> None:
    recorded = recorded_url(f"postgresql+psycopg2://me:{SECRET}@h:5432/db{query}")
    assert recorded == "postgresql+psycopg2://me@h:5432/db" + ("?sslmode=require" if "ssl" in query else "")


@pytest.mark.parametrize("password", [SECRET, "wr0ng"])
def test_a_password_in_the_environment_opens_a_recorded_url(
    password: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"guarded://me@/{tmp_path}/s.db"
    with pytest.raises(UserError, match=r"give its password in \$HPO_STORAGE_PASSWORD"):
        check_url(url)
    monkeypatch.setenv("HPO_STORAGE_PASSWORD", password)
    if password == SECRET:
        check_url(url)
        return
    with pytest.raises(UserError, match=r"authentication failed: '\*\*\*'$"):
        check_url(url)


def test_a_password_in_a_url_is_used_by_this_process_and_never_shown(tmp_path: Path) -> None:
    right = recorded_url(f"guarded://me:{SECRET}@/{tmp_path}/s.db")
    wrong = recorded_url(f"guarded://me:wr0ng@/{tmp_path}/t.db")
    assert right == f"guarded://me@/{tmp_path}/s.db"
    assert wrong is not None
    check_url(right)
    with pytest.raises(UserError, match=r"authentication failed: '\*\*\*'$"):
        check_url(wrong)


def test_a_locked_file_is_waited_for_and_then_named(tmp_path: Path) -> None:
    storage, _ = open_storage(f"sqlite:///{tmp_path}/s.db", write=True)
    with storage._backend.engine.connect() as connection:  # type: ignore[attr-defined]
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 60_000
    impatient, _ = open_storage(f"sqlite:///{tmp_path}/s.db?timeout=0.1", write=True)
    other = sqlite3.connect(os.fspath(tmp_path / "s.db"))
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(MachineError, match="the ledger's storage failed: database is locked"), storage_errors():
        impatient.get_all_studies()
    other.close()
    with storage_errors():
        assert impatient.get_all_studies() == []


def test_tables_of_another_version_of_optuna_are_an_error(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    check_url(url)
    with sqlite3.connect(tmp_path / "s.db") as database:
        database.execute("UPDATE alembic_version SET version_num = 'v9.9.9'")
    database.close()
    for write in (True, False):
        with pytest.raises(UserError, match=r"cannot be opened: The runtime optuna version .* is no longer compatible"):
            open_storage(url, write=write)


def test_a_database_without_tables_has_no_studies_to_read_and_gets_none(tmp_path: Path) -> None:
    (tmp_path / "s.db").touch()
    with pytest.raises(UserError, match="holds no studies: it has no tables of Optuna"):
        open_storage(f"sqlite:///{tmp_path}/s.db", write=False)
    assert (tmp_path / "s.db").read_bytes() == b""

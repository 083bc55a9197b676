"""Studies whose record is in PostgreSQL: the commands, the passwords and the mistakes, on a real server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.postgresql_server import HOST, PASSWORD, USER, PostgresqlServer
from tests.cli.commands import ROOT, SEARCH, Hpo
from tests.cli.dashboards import dashboard, get

pytestmark = pytest.mark.slow

READER = "reader"
PASSWORDS = ("HPO_STORAGE_PASSWORD", "PGPASSWORD", "PGPASSFILE")
DIGITS = """
task: {regime: from_scratch, model: softmax_regression, dataset: digits}
space: {lr: {choices: [0.01]}}
fidelity: {high: 2}
"""


@pytest.fixture
def url(postgresql: PostgresqlServer, database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty database, without the password, which is in the environment."""
    for name in PASSWORDS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HPO_STORAGE_PASSWORD", PASSWORD)
    return postgresql.url(database, password=None)


def test_every_command_reads_the_record(hpo: Hpo, url: str, tmp_path: Path) -> None:
    (tmp_path / "digits.yaml").write_text(DIGITS)
    words = ("--space", "digits.yaml", "--backend", "grid", "--runner", "inline", "--study", "s", "--storage", url)
    assert hpo("search", *words).exit_code == 0
    assert not (tmp_path / "studies" / "s" / "ledger.log").exists()
    assert "1 complete" in hpo("status", "s").output
    assert "val_loss" in hpo("best", "s").output
    assert hpo("export", "s", "--format", "csv", "--out", "all.csv").exit_code == 0
    assert list(pd.read_csv(tmp_path / "all.csv")["state"]) == ["complete"]
    tested = hpo("test", "s")
    assert tested.exit_code == 0, tested.output
    assert hpo("plot", "s", "--kind", "curves", "--out", "curves.svg").exit_code == 0
    again = hpo("resume", "s", "--epochs", "100")
    assert again.exit_code == 0, again.output


def test_the_dashboard_shows_the_trials_also_after_the_server_restarted(
    hpo: Hpo, url: str, tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    for name in ("other", "s"):
        assert hpo(*SEARCH, "--study", name, "--storage", url).exit_code == 0
    with dashboard(tmp_path) as (address, server):
        studies = get(f"{address}/api/studies", server)["study_summaries"]
        study_id = {study["study_name"]: study["study_id"] for study in studies}["s"]
        for _ in range(2):
            trials = get(f"{address}/api/studies/{study_id}?after=0", server)["trials"]
            assert [trial["state"] for trial in trials] == ["Complete"]
            assert [len(trial["intermediate_values"]) for trial in trials] == [9]
            postgresql.stop()
            postgresql.start()


@pytest.mark.parametrize("source", ["HPO_STORAGE_PASSWORD", "PGPASSWORD", "PGPASSFILE", "url"])
def test_a_password_is_found_and_written_nowhere(
    hpo: Hpo,
    url: str,
    source: str,
    postgresql: PostgresqlServer,
    database: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HPO_STORAGE_PASSWORD")
    given = url
    if source == "PGPASSFILE":
        pgpass = tmp_path_factory.mktemp("home") / ".pgpass"
        pgpass.write_text(f"{HOST}:{postgresql.port}:{database}:{USER}:{PASSWORD}\n")
        pgpass.chmod(0o600)
        monkeypatch.setenv("PGPASSFILE", str(pgpass))
    elif source == "url":
        given = postgresql.url(database)
    else:
        monkeypatch.setenv(source, PASSWORD)
    results = [hpo(*SEARCH, "--study", "s", "--storage", given), hpo("status", "s"), hpo("resume", "s", "--trials", 2)]
    assert [result.exit_code for result in results] == [0, 0, 0], [result.output for result in results]
    postgresql.execute(f"ALTER USER {USER} PASSWORD 'another'")
    try:
        results.append(hpo("status", "s"))
    finally:
        with_other = postgresql.url("postgres").replace(PASSWORD, "another")
        alter = f"import psycopg; psycopg.connect('{with_other}', autocommit=True).execute('''{_password(PASSWORD)}''')"
        subprocess.run([sys.executable, "-c", alter], check=True)
    assert results[-1].exit_code == 2
    assert f'password authentication failed for user "{USER}"' in results[-1].output
    assert PASSWORD not in "".join(result.output for result in results)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or PASSWORD.encode() not in path.read_bytes(), path


def _password(password: str) -> str:
    return f"ALTER USER {USER} PASSWORD $${password}$$"


MISTAKES = {
    "no server": ("postgresql://me@127.0.0.1:1/db", "Connection refused"),
    "no host": ("postgresql://me@no.such.host/db", "no.such.host"),
    "no socket": ("postgresql://me@/db?host=/nowhere", "No such file or directory"),
    "no database": ("{server}/nothing", 'database "nothing" does not exist'),
    "wrong password": ("{server_with_wrong_password}/{database}", 'password authentication failed for user "tester"'),
    "no password": ("{server}/{database}", "give its password in $HPO_STORAGE_PASSWORD or ~/.pgpass"),
    "wrong parameter": ("{server}/{database}?nonsense=1", 'invalid connection option "nonsense"'),
    "no permission": ("postgresql://reader@127.0.0.1:{port}/{database}", "permission denied for"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_storage_that_cannot_be_used_is_one_line_and_nothing_is_written(
    hpo: Hpo,
    url: str,
    mistake: str,
    postgresql: PostgresqlServer,
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    template, message = MISTAKES[mistake]
    if mistake == "no password":
        monkeypatch.delenv("HPO_STORAGE_PASSWORD")
    if mistake == "no permission":
        _create_reader(postgresql)
    given = template.format(
        server=postgresql.url("", password=None).rstrip("/"),
        server_with_wrong_password=postgresql.url("", password="wr0ng").rstrip("/"),
        database=database,
        port=postgresql.port,
    )
    result = hpo(*SEARCH, "--storage", given)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert len(result.output.splitlines()) == 1, result.output
    assert PASSWORD not in result.output
    assert "wr0ng" not in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["toy.yaml"]
    assert postgresql.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database=database) == []


def _create_reader(postgresql: PostgresqlServer) -> None:
    """A user who may read everything and write nothing."""
    if not postgresql.execute(f"SELECT 1 FROM pg_roles WHERE rolname = '{READER}'"):
        postgresql.execute(f"CREATE USER {READER} PASSWORD '{PASSWORD}' IN ROLE pg_read_all_data")


def test_a_user_who_may_only_read_sees_a_study_and_cannot_search(
    hpo: Hpo, url: str, postgresql: PostgresqlServer, database: str, tmp_path: Path
) -> None:
    _create_reader(postgresql)
    assert hpo(*SEARCH, "--study", "s", "--storage", url).exit_code == 0
    study_yaml = tmp_path / "studies" / "s" / "study.yaml"
    for_reader = postgresql.url(database, user=READER, password=None)
    study_yaml.write_text(study_yaml.read_text().replace(url, for_reader))
    for verb in ("status", "best", "export"):
        result = hpo(verb, "s")
        assert result.exit_code == 0, result.output
    before = study_yaml.read_text()
    for words in (("resume", "s"), (*SEARCH, "--study", "t", "--storage", for_reader)):
        result = hpo(*words)
        assert result.exit_code == 2, result.output
        assert "permission denied for" in result.output
        assert len(result.output.splitlines()) == 1, result.output
    assert study_yaml.read_text() == before
    assert [path.name for path in (tmp_path / "studies").iterdir()] == ["s"]
    assert len(postgresql.execute("SELECT * FROM studies", database=database)) == 1


def test_a_name_that_the_database_has_already_is_an_error(hpo: Hpo, url: str, tmp_path: Path) -> None:
    assert hpo(*SEARCH, "--study", "s", "--storage", url).exit_code == 0
    result = hpo(*SEARCH, "--study", "s", "--storage", url, "--studies", "elsewhere")
    assert result.exit_code == 2
    assert "holds a study 's' already: choose another name" in result.output
    assert not (tmp_path / "elsewhere").exists()


def test_an_empty_database_has_no_study_to_read(
    hpo: Hpo, url: str, postgresql: PostgresqlServer, database: str, tmp_path: Path
) -> None:
    assert hpo(*SEARCH, "--study", "s", "--storage", url).exit_code == 0
    postgresql.execute("DROP SCHEMA public CASCADE", "CREATE SCHEMA public", database=database)
    result = hpo("status", "s")
    assert result.exit_code == 2
    assert "holds no studies: it has no tables of Optuna" in result.output


def test_ctrl_c_ends_the_waiting_for_a_server(hpo: Hpo, url: str, postgresql: PostgresqlServer, tmp_path: Path) -> None:
    words = (*SEARCH[:-1], "100000", "--study", "s", "--storage", url)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "hpo.cli", *words]
    search = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    assert search.stderr is not None
    try:
        assert "searching" in search.stderr.readline()
        assert "complete" in search.stderr.readline()
        postgresql.stop()
        try:
            while "does not answer" not in (line := search.stderr.readline()):
                assert "complete" in line
            search.send_signal(signal.SIGINT)
            _, text = search.communicate(timeout=60)
        finally:
            postgresql.start()
    finally:
        search.kill()
        search.wait()
    assert search.returncode == 130
    assert "interrupted; nothing is lost. Go on with:  hpo resume s" in text
    assert "Traceback" not in text
    resumed = hpo("resume", "s", "--time", "0")
    assert resumed.exit_code == 0, resumed.output

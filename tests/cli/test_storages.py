"""Studies whose record is in a storage that is given by its URL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import ROOT, SEARCH, Hpo
from tests.record.guarded_database import SECRET

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("url", ["sqlite+pysqlite:///s.db", "sqlite:///s.db?timeout=30", "sqlite:///{my} s.db"])
def test_what_is_searched_is_found_afterwards(hpo: Hpo, tmp_path: Path, url: str) -> None:
    for words in ((*SEARCH, "--study", "s", "--storage", url), ("best", "s"), ("resume", "s", "--trials", "2")):
        result = hpo(*words)
        assert result.exit_code == 0, result.output
    assert "2 complete" in hpo("status", "s").output


def test_a_database_in_memory_is_refused_before_anything_is_trained(hpo: Hpo, tmp_path: Path) -> None:
    result = hpo(*SEARCH, "--storage", "sqlite://")
    assert result.exit_code == 2
    assert "is in memory, and lost when the search ends" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["toy.yaml"]


def test_a_password_is_in_no_file_and_no_output_and_comes_from_the_environment_later(
    hpo: Hpo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = hpo(*SEARCH, "--study", "s", "--storage", f"guarded://me:{SECRET}@/{tmp_path}/s.db")
    assert searched.exit_code == 0, searched.output
    resumed = hpo("resume", "s", "--trials", "2")
    again = hpo(*SEARCH, "--study", "s", "--storage", f"guarded://me:{SECRET}@/{tmp_path}/s.db")
    assert (resumed.exit_code, again.exit_code) == (0, 2)
    assert SECRET not in searched.output + resumed.output + again.output
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path
    script = "import tests.record.guarded_database; from hpo.cli import app; app(['status', 's'])"
    later = [sys.executable, "-c", script]
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    refused = subprocess.run(later, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "give its password in $HPO_STORAGE_PASSWORD" in refused.stderr
    monkeypatch.setenv("HPO_STORAGE_PASSWORD", SECRET)
    shown = subprocess.run(later, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "2 complete" in shown.stdout

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from hpo.cli.app import app
from tests.cli.commands import ROOT, TOY, Hpo


@pytest.fixture
def hpo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hpo:
    """Types a command in a folder of its own; `toy.yaml` lies in it."""
    (tmp_path / "toy.yaml").write_text(TOY)
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "1000")
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def searched(hpo: Hpo) -> Hpo:
    """The same, after a small search of the toy under the name `s`."""
    result = hpo(
        "search", "--space", "toy.yaml", "--backend", "bohb", "--trials", 10, "--runner", "inline", "--study", "s"
    )
    assert result.exit_code == 0, result.output
    return hpo

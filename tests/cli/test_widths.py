"""The width of what the commands print: COLUMNS limits it, and without a terminal it has no limit."""

from __future__ import annotations

import pytest

from tests.cli.commands import Hpo

VERBS = (
    ("best", "s"),
    ("status", "s"),
    ("studies",),
    ("compare", "s", "t"),
    ("importance", "s"),
    ("replay", "s", "--backend", "random", "--seeds", "1"),
    ("spaces",),
    ("describe", "regime", "linear_probe"),
    ("describe", "--space", "digits_cnn"),
    ("best", "nothing"),  # an error
)
WIDTH = 76


def test_what_a_command_prints_fits_columns_also_in_a_pipe(searched: Hpo, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--space", "toy.yaml", "--backend", "random", "--trials", "2", "--runner", "inline", "--study", "t")
    assert searched("search", *words).exit_code == 0
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    lines = [(*verb, line) for verb in VERBS for line in searched(*verb).output.splitlines()]
    assert not [line for line in lines if len(line[-1].rstrip()) > WIDTH and len(line[-1].split()) > 1]  # a long path


def test_without_columns_each_row_in_a_pipe_is_one_line(searched: Hpo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")
    rows = searched("best", "s").output.splitlines()
    assert rows[0].split()[:2] == ["trial", "state"]
    assert all("=" not in row for row in rows[1:3])
    (row,) = (
        line for line in searched("describe", "regime", "linear_probe").output.splitlines() if "optimizer " in line
    )
    assert len(row) > 80
    assert row.split()[-1] == "adamw"
    assert max(map(len, searched("spaces").output.splitlines())) > 80

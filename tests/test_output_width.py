"""The width of the output: that of COLUMNS, else that of the terminal, else no limit."""

from __future__ import annotations

import os
from io import StringIO

import pytest

from hpo.output_width import output_width


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_columns_limits_the_width_of_a_terminal_and_of_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "63")
    assert output_width(Terminal()) == output_width(StringIO()) == 63


@pytest.mark.parametrize("columns", [None, "", "0", "wide", "-5"])
def test_without_columns_a_terminal_has_its_own_width_and_a_pipe_has_no_limit(
    monkeypatch: pytest.MonkeyPatch, columns: str | None
) -> None:
    if columns is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(os, "get_terminal_size", lambda *stream: os.terminal_size((97, 30)))
    assert output_width(Terminal()) == 97
    assert output_width(StringIO()) is None

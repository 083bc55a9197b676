"""Tables as text: for a terminal, and as CSV, Markdown, LaTeX, HTML or JSON."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import UnknownName, UserError
from hpo.record import write_text
from hpo.results.tables import short

if TYPE_CHECKING:
    from pandas import DataFrame

FORMATS = ("csv", "md", "latex", "html", "json")


def render(frame: DataFrame, format: str) -> str:
    """Return a table as text in a format: csv, md, latex, html or json (a list of objects).

    Raises UnknownName for any other format.
    """
    if format == "csv":
        return str(frame.to_csv(index=False))
    if format == "json":
        return _json(frame)
    shown = frame.map(cell)
    if format == "md":
        escaped = shown.map(lambda text: text.replace("|", r"\|"))
        return str(escaped.to_markdown(index=False, disable_numparse=True)) + "\n"
    if format == "latex":
        style = shown.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis="columns")
        return str(style.to_latex(hrules=True))
    if format == "html":
        return str(shown.to_html(index=False, border=0)) + "\n"
    raise UnknownName("format", format, FORMATS)


def table_text(frame: DataFrame, hyperparameters: list[str], width: int | None = None) -> str:
    """Return a table as text for a terminal of `width` characters. None means no limit.

    If the table is too wide, each trial has one line with its results and its configuration on the lines below.
    """
    if frame.empty:
        return "no trial has a finite loss"
    shown = short(frame).map(cell)
    text = str(shown.to_string(index=False))
    if width is None or max(map(len, text.splitlines())) <= width:
        return text
    results = [name for name in shown if name not in hyperparameters and name not in ("train_accuracy", "epochs")]
    header, *rows = str(shown[results].to_string(index=False)).splitlines()
    lines = [header]
    for row, (_, values) in zip(rows, shown[hyperparameters].iterrows(), strict=True):
        config = ", ".join(f"{name}={value}" for name, value in values.items() if value)
        lines += [row, *textwrap.wrap(config, width, initial_indent="      ", subsequent_indent="      ")]
    return "\n".join(lines)


def write(text: str, out: Path) -> None:
    """Write a rendered table to the file `out`. Raises UserError if `out` is a folder, or its folder is missing."""
    if not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.parent}")
    if out.is_dir():
        raise UserError(f"--out {out}: is a folder; a file is needed")
    write_text(out, text)


def cell(value: Any) -> str:
    """Format a value for people: four significant digits for a float, an empty string for a missing value."""
    import pandas as pd

    if value is None or value is pd.NA or value != value:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _json(frame: DataFrame) -> str:
    """A list of objects, with all digits of each number. Missing values are null."""
    rows = [
        {name: None if missing else value for (name, value), missing in zip(row.items(), row.isna(), strict=True)}
        for _, row in frame.astype(object).iterrows()
    ]
    return json.dumps(rows, indent=2, allow_nan=False) + "\n"

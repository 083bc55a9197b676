"""Tables as text: for a terminal, and as CSV, Markdown, LaTeX, HTML or JSON."""

from __future__ import annotations

import json
import math
import numbers
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import UnknownName, UserError, nearest, shortened
from hpo.record import write_text
from hpo.record.own_files import check_not_own
from hpo.results.tables import short
from hpo.space.objectives import OBJECTIVES

if TYPE_CHECKING:
    from pandas import DataFrame, Series

LESS_IMPORTANT = (
    "test_accuracy_std",
    "stopping_epoch",
    "train_loss",
    "val_loss",
    "loss",
    "test_accuracy",
    "val_accuracy",
)
"""The results that move below the line of their trial in a narrow terminal, the first that moves first."""
FORMATS = ("csv", "md", "latex", "html", "json")
SUFFIXES = {".csv": "csv", ".md": "md", ".tex": "latex", ".html": "html", ".htm": "html", ".json": "json"}
"""The format that the suffix of a file stands for."""


def render(frame: DataFrame, format: str) -> str:
    """Return a table as text in a format: csv, md, latex, html or json (a list of objects).

    A cell of a hyperparameter that is not active is empty. In all formats but json, the choice null is written `null`
    and an empty text `""`; in csv a text that looks like one of these is quoted too. In json, null stands for the
    choice null, and for what is missing, not active, infinite or NaN. LaTeX aligns columns of numbers to the right.

    Raises UnknownName for any other format.
    """
    from pandas import Series

    if format == "csv":
        texts = [name for name in frame if frame[name].dtype in ("object", "str")]
        # Lists of objects, because pandas would turn whole numbers with gaps into floats.
        cells = {str(name): Series(map(_csv_cell, frame[name]), frame.index, object) for name in texts}
        return str(frame.assign(**cells).to_csv(index=False))
    if format == "json":
        return _json(frame)
    shown = frame.map(cell)
    if format == "md":
        escaped = shown.map(lambda text: text.replace("|", r"\|"))
        return str(escaped.to_markdown(index=False, disable_numparse=True)) + "\n"
    if format == "latex":
        style = shown.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis="columns")
        alignment = "".join("r" if _has_numbers(frame[name]) else "l" for name in frame)
        return str(style.to_latex(hrules=True, column_format=alignment))
    if format == "html":
        return str(shown.to_html(index=False, border=0)) + "\n"
    raise UnknownName("format", format, FORMATS)


def select_columns(frame: DataFrame, names: Sequence[str]) -> DataFrame:
    """Return the named columns of a table, in the order of `names`.

    Raises a UserError for a name that is no column, which lists all columns, and for one that is named twice.
    """
    for number, name in enumerate(names):
        if name not in frame:
            known = nearest(name, map(str, frame), max_length=math.inf)
            raise UserError(f"unknown column {shortened(repr(name))}{known}")
        if name in names[:number]:
            raise UserError(f"the column {name!r} is named twice")
    return frame[list(names)]


def _has_numbers(column: Series[Any]) -> bool:
    """Whether the cells of a column are numbers. Missing cells and null may be among them."""
    values = [value for value in column if cell(value) not in ("", "null")]
    return bool(values) and all(isinstance(value, numbers.Real) and not isinstance(value, bool) for value in values)


def table_text(
    frame: DataFrame, hyperparameters: list[str], width: int | None = None, objective: str = OBJECTIVES[0]
) -> str:
    """Return a table as text for a terminal of `width` characters. None means no limit.

    Of the metrics, the accuracies, the validation loss and that of `objective` are shown. See `tables.short`.

    If the table is too wide, each trial has one line with its results, as many as fit. Below it stand the others
    and its configuration. No word is broken.
    """
    if frame.empty:
        return "no trial has a finite loss"
    shown = short(frame, hyperparameters, objective).map(cell)
    text = str(shown.to_string(index=False))
    if width is None or max(map(len, text.splitlines())) <= width:
        return text
    results = [name for name in shown if name not in hyperparameters and name not in ("train_accuracy", "epochs")]
    header, *rows = str(shown[results].to_string(index=False)).splitlines()
    below = []
    for name in LESS_IMPORTANT:
        if len(header) > width and name in results:
            results.remove(name)
            below.append(name)
            header, *rows = str(shown[results].to_string(index=False)).splitlines()
    below = [name for name in shown if name in below]  # in the order of the wide table
    lines = [header]
    for row, (_, values) in zip(rows, shown[[*below, *hyperparameters]].iterrows(), strict=True):
        text = ", ".join(f"{name}={value}" for name, value in values.items() if value)
        lines += [row, *wrap(text, width, indent="      ")]
    return "\n".join(lines)


def wrap(text: str, width: int, *, indent: str, first: str | None = None) -> list[str]:
    """Break a text into lines of `width` characters between its words, never inside one.

    `first` replaces the indent of the first line.
    """
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def write(text: str, out: Path) -> None:
    """Write a rendered table to the file `out`. Raises the errors of `check_output`."""
    check_output(out)
    write_text(out, text)


def check_output(out: Path) -> None:
    """Raise UserError if `out` is a folder, or a file that a study writes itself, or if its folder is missing."""
    if not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.parent}")
    if out.is_dir():
        raise UserError(f"--out {out}: is a folder; a file is needed")
    check_not_own(out)


def format_of(format: str | None, out: Path | None) -> str:
    """Return the format of a table: `format`, or else that of the suffix of the file `out`, or csv.

    Raises UnknownName if `format` is unknown. Raises UserError if the suffix stands for no format, or another one.
    """
    if format is not None and format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    if out is None or not out.suffix:
        return format or "csv"
    of_suffix = SUFFIXES.get(out.suffix.lower())
    if of_suffix is None:
        raise UserError(f"--out {out}: no table is written as {out.suffix} (allowed: {', '.join(sorted(SUFFIXES))})")
    if format not in (None, of_suffix):
        raise UserError(
            f"--out {out}: {out.suffix} stands for {of_suffix}, and --format is {format}; leave out --format"
        )
    return of_suffix


def cell(value: Any) -> str:
    """Format a value for people: four significant digits for a float, an empty string for a missing value.

    None, which is a choice, is `null`, and an empty text is `""`.
    """
    import pandas as pd

    if value is None:
        return "null"
    if value is pd.NA or value != value:
        return ""
    if value == "":
        return '""'
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _csv_cell(value: Any) -> Any:
    """A text or None as it is written in CSV, so that null, an empty text and an empty cell differ."""
    if value is None:
        return "null"
    is_unclear = isinstance(value, str) and (value in ("", "null") or value.startswith('"'))
    return json.dumps(value, ensure_ascii=False) if is_unclear else value


def _json(frame: DataFrame) -> str:
    """A list of objects, with all digits of each number. Missing values and numbers that are not finite are null."""
    rows = [
        {
            name: None if missing or value in (math.inf, -math.inf) else value
            for (name, value), missing in zip(row.items(), row.isna(), strict=True)
        }
        for _, row in frame.astype(object).iterrows()
    ]
    return json.dumps(rows, indent=2, allow_nan=False) + "\n"

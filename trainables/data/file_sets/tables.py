"""Tables of text columns from CSV, TSV and Parquet files, with the place of each row for error messages."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainables.errors import SetupError, reason

PARQUET = (".parquet", ".pq")
SEPARATORS = (",", ";", "\t", "|")
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
"""The byte order marks of encodings other than UTF-8."""


@dataclass(frozen=True)
class Table:
    """The columns of a table, all of them text without spaces around it. A missing value is an empty text."""

    file: Path
    columns: dict[str, list[str]]
    numbers: Sequence[int]
    """The number of the line of each row, or for Parquet the number of the row, from 1."""
    unit: str = "line"
    """What `numbers` count: "line" or "row"."""

    def place(self, row: int) -> str:
        """Return the place of a row, for messages."""
        number = self.numbers[row]
        return f"{self.file}:{number}" if self.unit == "line" else f"{self.file}, row {number}"


def read(file: Path, is_wanted: Callable[[Sequence[str]], bool]) -> Table:
    """Read a table. Its separator is the first one that gives columns that `is_wanted` returns True for.

    `is_wanted` gets the names of the columns. If it never returns True, the table has the separator that gives most
    columns.

    Text is UTF-8, or UTF-16 with a byte order mark. Bytes that are not UTF-8 are kept as in names of files. Lines
    without any text are left out. Every value is taken as text: "007", "NA" and "nan" stay as they are.

    Raises SetupError if the file cannot be read, if it has no row, if a column has no name or the name of another, or
    if a line has more or fewer values than there are columns.
    """
    if not file.is_file():
        raise SetupError(f"{file}: there is no such file")
    return _read_parquet(file) if file.suffix.lower() in PARQUET else _read_text(file, is_wanted)


def _read_text(file: Path, is_wanted: Callable[[Sequence[str]], bool]) -> Table:
    try:
        content = file.read_bytes()
        text = content.decode(MARKS.get(content[:2], "utf-8-sig"), "surrogateescape")
    except (OSError, UnicodeError) as error:
        raise SetupError(f"{file}: cannot be read ({reason(error)})") from error
    if not text.strip():
        raise SetupError(f"{file}: is empty; it needs a line with the names of the columns, and a line for each image")
    start, separator = _header(text, is_wanted)
    rows, numbers = _rows(file, text, separator)
    names, values = rows[0], rows[1:]
    _check_names(file, names)
    for row, number in zip(values, numbers[1:], strict=True):
        if len(row) != len(names):
            raise SetupError(
                f"{file}:{number}: has {len(row)} values, but there are {len(names)} columns "
                f"({', '.join(names)}); put a value that holds {separator!r} in double quotes"
            )
    if not values:
        raise SetupError(f"{file}: has the columns {', '.join(start)}, but no line with an image")
    return Table(file, {name: [row[i] for row in values] for i, name in enumerate(names)}, numbers[1:])


def _header(text: str, is_wanted: Callable[[Sequence[str]], bool]) -> tuple[list[str], str]:
    """The names of the columns, and the separator."""
    line = next(line for line in text.splitlines() if line.strip())
    headers = [[name.strip() for name in next(csv.reader([line], delimiter=each))] for each in SEPARATORS]
    found = list(zip(headers, SEPARATORS, strict=True))
    wanted = next((each for each in found if is_wanted(each[0])), None)
    return wanted or max(found, key=lambda each: len(each[0]))


def _rows(file: Path, text: str, separator: str) -> tuple[list[list[str]], list[int]]:
    """The values of each row that is not blank, and the number of its first line."""
    rows: list[list[str]] = []
    numbers: list[int] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    try:
        for row in reader:
            values = [value.strip() for value in row]
            if any(values):
                rows.append(values)
                numbers.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise SetupError(f"{file}:{line}: is no line of a table ({error})") from error
    return rows, numbers


def _check_names(file: Path, names: Sequence[str]) -> None:
    """Raise SetupError if a column has no name, or the name of another."""
    for i, name in enumerate(names):
        if not name:
            raise SetupError(f"{file}: column {i + 1} of the first line has no name")
        if name in names[:i]:
            raise SetupError(f"{file}: two columns are called {name!r}")


def _read_parquet(file: Path) -> Table:
    import pandas as pd

    try:
        frame = pd.read_parquet(file)
    except ImportError as error:
        raise SetupError(f"{file}: Parquet needs pyarrow; install it by: pip install 'hpo[parquet]'") from error
    except Exception as error:  # pyarrow raises errors of many kinds for damaged files
        raise SetupError(f"{file}: cannot be read as a Parquet file ({reason(error)})") from error
    names = [str(name) for name in frame.columns]
    _check_names(file, names)
    if frame.empty:
        raise SetupError(f"{file}: has the columns {', '.join(names)}, but no row")
    columns = {name: [_text(value) for value in frame.iloc[:, i].tolist()] for i, name in enumerate(names)}
    return Table(file, columns, range(1, len(frame) + 1), "row")


def _text(value: object) -> str:
    """A value of a Parquet file as text. A missing value is an empty text, a whole number has no decimal point."""
    if isinstance(value, str):
        return value.strip()
    if value is None or value != value or str(value) in ("<NA>", "NaT"):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)

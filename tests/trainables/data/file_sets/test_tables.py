from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.file_sets.tables import Table, read
from trainables.errors import SetupError

needs_pyarrow = pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is an extra")
ROWS = {"path": ["1.jpg", "2.jpg"], "label": ["cat", "dog"]}


def load(folder: Path, content: str | bytes, name: str = "t.csv") -> Table:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read(path, lambda names: {"path", "label"} <= set(names))


@pytest.mark.parametrize(
    "content",
    [
        "path,label\n1.jpg,cat\n2.jpg,dog\n",
        "path,label\n1.jpg,cat\n2.jpg,dog",
        "path,label\r\n1.jpg,cat\r\n2.jpg,dog\r\n",
        "path;label\n1.jpg;cat\n2.jpg;dog\n",
        "path\tlabel\n1.jpg\tcat\n2.jpg\tdog\n",
        "path|label\n1.jpg|cat\n2.jpg|dog\n",
        '"path", "label"\n 1.jpg , cat\n"2.jpg",dog\n'.replace(', "', ',"'),
        "\ufeffpath,label\n1.jpg,cat\n2.jpg,dog\n",
        "path,label\n1.jpg,cat\n2.jpg,dog\n".encode("utf-16"),
        "\npath,label\n\n1.jpg,cat\n,\n2.jpg,dog\n\n",
    ],
)
def test_separators_line_ends_and_byte_order_marks_make_no_difference(tmp_path: Path, content: str | bytes) -> None:
    assert load(tmp_path, content).columns == ROWS


@pytest.mark.parametrize("value", ["007", "NA", "nan", "None", "null", "1e5", "True", "-", "caf\u00e9", "a,b", 'a"b'])
def test_every_value_is_text(tmp_path: Path, value: str) -> None:
    quoted = '"' + value.replace('"', '""') + '"'
    assert load(tmp_path, f"path,label\n1.jpg,{quoted}\n").columns["label"] == [value]


def test_the_place_of_a_row_is_its_line_also_after_blank_lines_and_values_of_several_lines(tmp_path: Path) -> None:
    table = load(tmp_path, 'path,label\n\n1.jpg,"a\nb"\n2.jpg,c\n')
    assert table.columns["label"] == ["a\nb", "c"]
    assert [table.place(row) for row in (0, 1)] == [f"{table.file}:3", f"{table.file}:5"]


def test_bytes_that_are_not_utf8_are_kept_as_in_names_of_files(tmp_path: Path) -> None:
    assert load(tmp_path, b"path,label\ncaf\xe9.jpg,a\n").columns["path"] == ["caf\udce9.jpg"]


@given(st.lists(st.tuples(*[st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)] * 2), min_size=1))
def test_what_pandas_writes_reads_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    path = tmp_path_factory.mktemp("tables") / "t.csv"
    pd.DataFrame(rows, columns=["path", "label"]).to_csv(path, index=False)
    table = read(path, lambda names: "label" in names)
    assert list(zip(table.columns["path"], table.columns["label"], strict=True)) == rows


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "t.csv: is empty; it needs a line with the names of the columns"),
        (" \n\n", "t.csv: is empty"),
        ("path,label\n", "t.csv: has the columns path, label, but no line with an image"),
        ("path,label\n1.jpg,cat\n2.jpg\n", "t.csv:3: has 1 values, but there are 2 columns (path, label)"),
        ("path,label\n1.jpg,a,b\n", "t.csv:2: has 3 values, but there are 2 columns (path, label); put a value that"),
        ("path,,label\n1,2,3\n", "t.csv: column 2 of the first line has no name"),
        ("path,label,path\n1,2,3\n", "t.csv: two columns are called 'path'"),
        ('path,label\n1.jpg,"cat\n', "t.csv:2: is no line of a table"),
    ],
)
def test_a_broken_table_is_an_error_with_its_line(tmp_path: Path, content: str, told: str) -> None:
    with pytest.raises(SetupError) as caught:
        load(tmp_path, content)
    assert told in str(caught.value)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"t\.csv: there is no such file"):
        read(tmp_path / "t.csv", bool)


@needs_pyarrow
def test_a_parquet_file_has_the_same_columns_with_numbers_as_text(tmp_path: Path) -> None:
    frame = pd.DataFrame(ROWS | {"n": [1, 2], "x": [1.0, None], "c": pd.Categorical(["NA", "b"]), "o": ["a", None]})
    frame.to_parquet(tmp_path / "t.parquet")
    table = read(tmp_path / "t.parquet", bool)
    assert table.columns == ROWS | {"n": ["1", "2"], "x": ["1", ""], "c": ["NA", "b"], "o": ["a", ""]}
    assert table.place(1) == f"{tmp_path / 't.parquet'}, row 2"


@needs_pyarrow
def test_a_damaged_parquet_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"t\.parquet: cannot be read as a Parquet file") as caught:
        load(tmp_path, "no parquet", "t.parquet")
    assert "\n" not in str(caught.value)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyarrow", "fastparquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SetupError, match=r"t\.parquet: Parquet needs pyarrow; install it by: pip install 'hpo\[parqu"):
        load(tmp_path, "", "t.parquet")

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest
from pandas import DataFrame, Series

from hpo import results
from hpo.errors import UserError
from hpo.record import Budget, Settings, StudyFolder
from hpo.results import tables
from hpo.space import Categorical, Domain, Fidelity, Int, SearchSpace, Task
from hpo.trial import Report, Suggestion, Value


def test_csv_and_json_carry_every_digit(study: StudyFolder) -> None:
    values = [1 / 3, 1.23456789012345e-9, 123456789.123456789]
    frame = tables.table(study).assign(x=values)
    assert [float(row["x"]) for row in csv.DictReader(io.StringIO(results.render(frame, "csv")))] == values
    assert [row["x"] for row in json.loads(results.render(frame, "json"))] == values


def test_json_has_null_for_what_is_missing_and_whole_numbers_stay_whole(study: StudyFolder) -> None:
    rows = {row["trial"]: row for row in json.loads(results.render(tables.table(study), "json"))}
    assert rows[1]["y"] is None
    assert rows[2]["loss"] is None
    assert repr(rows[0]["stopping_epoch"]) == "2"


def test_text_that_a_format_reads_as_markup_is_escaped(study: StudyFolder) -> None:
    frame = tables.table(study).assign(kind=["a&b%", "c|d", "x_1#"])
    assert "a\\&b\\%" in results.render(frame, "latex")
    assert "x\\_1\\#" in results.render(frame, "latex")
    assert "c\\|d" in results.render(frame, "md")


def test_each_text_format_is_what_it_says(study: StudyFolder) -> None:
    frame = tables.table(study)
    assert results.render(frame, "md").startswith("| trial ")
    assert "\\toprule" in results.render(frame, "latex")
    assert "stopping\\_epoch" in results.render(frame, "latex")
    assert results.render(frame, "html").startswith("<table")


def test_latex_aligns_numbers_to_the_right_and_texts_to_the_left(study: StudyFolder) -> None:
    frame = tables.table(study)[["trial", "state", "kind", "y", "loss"]].assign(
        both=Series([1, None, 0.5], dtype=object), flag=True
    )
    assert r"\begin{tabular}{rllrrrl}" in results.render(frame, "latex")


def test_an_unknown_format_names_the_nearest(study: StudyFolder) -> None:
    with pytest.raises(UserError, match="did you mean 'latex'"):
        results.render(tables.table(study), "latx")


@pytest.fixture
def odd(tmp_path: Path) -> DataFrame:
    """A table with conditional whole numbers, null, an empty text, lists, and metrics that are infinite."""
    domains: dict[str, Domain] = {
        "kind": Categorical(("a", "b")),
        "batch": Categorical((16, 32), when={"kind": ("a",)}),
        "layers": Int(1, 4, when={"kind": ("a",)}),
        "window": Categorical((None, 3), when={"kind": ("a",)}),
        "name": Categorical(("", "null", '"', "plain", None), when={"kind": ("a",)}),
        "flag": Categorical((True, False), when={"kind": ("a",)}),
        "size": Categorical((8, 0.5), when={"kind": ("a",)}),
        "widths": Categorical(((64, 32), (8,)), when={"kind": ("a",)}),
    }
    study = StudyFolder(tmp_path, SearchSpace("odd", domains, Fidelity(9), Task()), Settings(), Budget())
    ledger = study.begin()
    names: list[Value] = ["", "null", '"', "plain", None]
    for number, name in enumerate(names):
        more: dict[str, Value] = {"batch": 16, "layers": 2, "window": None, "name": name, "flag": True}
        ledger.suggest(Suggestion(number, {"kind": "a", **more, "size": 8, "widths": (64, 32)}, 9))
        metrics = {
            "val_loss": number + 0.5,
            "val_accuracy": math.inf,
            "train_loss": -math.inf,
            "train_accuracy": math.nan,
        }
        ledger.record(Report(number, 1, number + 0.5, metrics, 1.0))
    ledger.suggest(Suggestion(5, {"kind": "b"}, 9))
    ledger.close()
    return tables.table(study)


def test_whole_numbers_and_truth_values_stay_what_they_are_beside_rows_without_them(odd: DataFrame) -> None:
    first, *_, last = json.loads(results.render(odd, "json"))
    kept = [repr(first[name]) for name in ("batch", "layers", "flag", "size", "widths", "trial", "epochs")]
    assert kept == ["16", "2", "True", "8", "'[64, 32]'", "0", "1"]
    assert [last[name] for name in ("batch", "layers", "flag", "size")] == [None] * 4
    cells = next(csv.reader(results.render(odd, "csv").splitlines()[1:]))
    assert cells[2:10] == ["a", "16", "2", "null", '""', "True", "8", "[64, 32]"]


def test_csv_tells_null_an_empty_text_and_a_hyperparameter_that_is_not_active_apart(odd: DataFrame) -> None:
    rows = list(csv.DictReader(io.StringIO(results.render(odd, "csv"))))
    assert [row["name"] for row in rows] == ['""', '"null"', '"\\""', "plain", "null", ""]
    assert [row["window"] for row in rows] == [*["null"] * 5, ""]


def test_every_format_writes_metrics_that_are_not_finite(odd: DataFrame) -> None:
    row = json.loads(results.render(odd, "json"))[0]
    assert [row[name] for name in ("val_accuracy", "train_loss", "train_accuracy")] == [None] * 3
    cells = next(csv.DictReader(io.StringIO(results.render(odd, "csv"))))
    assert [cells[name] for name in ("val_accuracy", "train_loss", "train_accuracy")] == ["inf", "-inf", ""]
    for format in results.FORMATS:
        assert "plain" in results.render(odd, format)
    assert "name=null" in results.table_text(odd, ["name"], 40)


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_table_of_tested_trials_fits_the_terminal_and_breaks_no_word(study: StudyFolder, width: int) -> None:
    tested = {"test_accuracy": 0.875, "test_accuracy_std": 0.0625, "test_loss": 0.5, "test_seeds": 3}
    frame = tables.table(study).assign(kind="a-long-name", **tested)
    lines = results.table_text(frame, ["kind", "x", "y"], width).splitlines()
    assert max(map(len, lines)) <= width
    words = " ".join(lines).replace(",", " ").split()
    assert "kind=a-long-name" in words
    assert "test_accuracy_std=0.0625" in words


def test_a_word_that_is_longer_than_the_terminal_is_not_broken() -> None:
    assert results.wrap("one a-very-long-word two", 8, indent="  ") == ["  one", "  a-very-long-word", "  two"]

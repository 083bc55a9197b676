from __future__ import annotations

import csv
import io
import json

import pytest

from hpo import results
from hpo.errors import UserError
from hpo.record import StudyFolder
from hpo.results import tables


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


def test_an_unknown_format_names_the_nearest(study: StudyFolder) -> None:
    with pytest.raises(UserError, match="did you mean 'latex'"):
        results.render(tables.table(study), "latx")

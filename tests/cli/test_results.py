from __future__ import annotations

import json
import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest

from hpo.cli.results import status
from hpo.record import StudyFolder, lock
from hpo.results import table_text, tables
from tests.cli.commands import Hpo
from tests.results.kept_predictions import kept_study


def test_status_says_how_far_a_study_is(searched: Hpo) -> None:
    result = searched("status", "s")
    assert result.exit_code == 0
    assert "finished, the budget of 10 trials is spent" in result.output
    assert "running" not in result.output
    assert re.search(r"^trials +10: ", result.output, re.MULTILINE)


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_in_a_narrow_terminal_the_lines_of_status_go_on_below_their_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_study(tmp_path / "near", [1.5] * 4, 40)
    monkeypatch.setenv("COLUMNS", "60")
    assert status.callback is not None
    with redirect_stdout(Terminal()) as terminal:
        status.callback("near", tmp_path)
    lines = terminal.getvalue().splitlines()
    assert max(map(len, lines)) <= 60
    further = [line for line in lines if line.startswith(" ")]
    assert len(further) > 3
    assert {len(line) - len(line.lstrip()) for line in further} == {9}


def test_status_without_a_test_says_nothing_of_tests(searched: Hpo) -> None:
    assert "test" not in searched("status", "s").output


def test_status_says_what_a_backend_believes_if_it_says_so(searched: Hpo) -> None:
    assert "belief" not in searched("status", "s").output  # bohb
    words = ("--backend", "freeze_thaw", "--trials", 2, "--runner", "inline", "--study", "f")
    assert searched("search", "--space", "toy.yaml", *words).exit_code == 0
    assert re.search(r"^belief +(early|all) epochs are used[:,] ", searched("status", "f").output, re.MULTILINE)


def test_a_search_without_a_backend_is_by_freeze_thaw(searched: Hpo) -> None:
    assert searched("search", "--space", "toy.yaml", "--trials", 2, "--runner", "inline").exit_code == 0
    output = searched("status", "toy-freeze_thaw-0").output
    assert "by freeze_thaw, seed 0" in output
    assert "belief   " in output


def test_status_of_a_study_in_search_says_so(searched: Hpo, tmp_path: Path) -> None:
    with lock(tmp_path / "studies" / "s"):
        assert "being searched or tested now" in searched("status", "s").output


def test_status_of_a_study_whose_process_was_killed_shows_no_trial_as_running(searched: Hpo, tmp_path: Path) -> None:
    journal = tmp_path / "studies" / "s" / "ledger.log"
    lines = journal.read_text().splitlines(keepends=True)
    begun = next(number for number, line in enumerate(lines) if '"op_code":4' in line)  # a trial is created
    journal.write_text("".join(lines[: begun + 1]))
    result = searched("status", "s")
    assert "cut short; `hpo resume s` goes on" in result.output
    assert "1: 1 interrupted" in result.output
    assert "running" not in result.output + searched("export", "s").output
    (tmp_path / "studies").rename(tmp_path / "my studies")
    elsewhere = searched("status", "s", "--studies", "my studies").output
    assert "cut short; `hpo resume s --studies 'my studies'` goes on" in elsewhere


@pytest.mark.parametrize("format", ["table", "csv", "md", "latex", "html", "json"])
def test_best_prints_the_top_in_each_format(searched: Hpo, format: str) -> None:
    result = searched("best", "s", "--top", 2, "--format", format)
    assert result.exit_code == 0
    assert "val_loss" in result.output.replace("\\_", "_")
    if format == "json":
        rows = json.loads(result.output)
        assert len(rows) == 2
        assert rows[0]["loss"] <= rows[1]["loss"]


def test_export_writes_every_trial_into_a_file(searched: Hpo, tmp_path: Path) -> None:
    result = searched("export", "s", "--format", "csv", "--out", tmp_path / "all.csv")
    assert result.exit_code == 0
    table = pd.read_csv(tmp_path / "all.csv")
    assert len(table) == 10
    assert list(table["loss"]) == sorted(table["loss"])


def test_export_takes_the_format_from_the_suffix_and_counts_a_row_as_one(searched: Hpo, tmp_path: Path) -> None:
    for name, begin in {"a.json": "[", "a.TEX": "\\begin", "a.md": "|", "a.html": "<table", "all": "trial,"}.items():
        result = searched("export", "s", "--top", 1, "--out", name)
        assert (result.exit_code, result.output) == (0, f"{name}: 1 row\n")
        assert (tmp_path / name).read_text().startswith(begin)
    own = tmp_path / "studies" / "s" / "mine.csv"  # a file that the study does not write may lie in its folder
    assert searched("export", "s", "--out", own).exit_code == 0
    assert own.exists()


def test_export_writes_the_best_trials_and_the_columns_that_are_asked_for(searched: Hpo) -> None:
    result = searched("export", "s", "--top", 2, "--columns", "loss, trial,kind")
    assert result.exit_code == 0, result.output
    every = pd.read_csv(StringIO(searched("export", "s").output))
    assert pd.read_csv(StringIO(result.output)).equals(every[["loss", "trial", "kind"]].head(2))


def test_export_of_an_unknown_column_names_the_nearest_and_all(searched: Hpo) -> None:
    result = searched("export", "s", "--columns", "trial,val_los")
    assert result.exit_code == 2
    assert "unknown column 'val_los'; did you mean 'val_loss'? (allowed: bracket, " in result.output
    assert "the column 'x' is named twice" in searched("export", "s", "--columns", "x,x").output


def test_digits_are_searched_tested_and_counted(hpo: Hpo, tmp_path: Path) -> None:
    words = ["--space", "digits_cnn", "--backend", "random", "--trials", 1, "--runner", "inline", "--study", "d"]
    lr = "space.lr={low: 1e-2, high: 1e-1, log: true}"
    overrides = ["fidelity.high=3", "task.model=softmax_regression", lr, "space.batch_size.choices=[32]"]
    result = hpo("search", *words, *(word for text in overrides for word in ("--set", text)))
    assert result.exit_code == 0, result.output
    assert "hpo test d --top 1 --seeds 3" in result.output
    result = hpo("test", "d", "--seeds", 2)
    assert result.exit_code == 0, result.output
    assert "looked at 2 times" in result.output
    content = json.loads((tmp_path / "studies" / "d" / "test.json").read_text())
    assert content["results"][0]["test_accuracy"]["mean"] > 0.8
    assert len(content["results"][0]["test_accuracy"]["values"]) == 2
    assert "training trial 0, seed 1 (2 of 2), " in result.output
    tested = r"^tested   trial 0 accuracy 0\.\d{4} ± 0\.\d{4} with 2 seeds; 2 looks at held-out data$"
    assert re.search(tested, hpo("status", "d").output, re.MULTILINE)
    again = hpo("test", "d").output
    assert "(2 seeds, retrain, " in again
    assert "looked at 2 times" in again
    assert hpo("test", "d", "--protocol", "checkpoint").exit_code == 0
    assert json.loads((tmp_path / "studies" / "d" / "test.json").read_text())["looks"] == 3
    assert "test_accuracy" in hpo("export", "d").output.splitlines()[0]


def test_a_table_wider_than_the_terminal_puts_each_configuration_on_lines_of_its_own(searched: Hpo) -> None:
    study = StudyFolder.reopen(Path("studies/s"))
    frame = tables.table(study).dropna(subset=["loss"]).head(3)
    wide, narrow = (table_text(frame, ["kind", "x", "y"], width) for width in (None, 60))
    assert len(wide.splitlines()) == 4
    assert max(map(len, wide.splitlines())) > 60 >= max(map(len, narrow.splitlines()))
    assert re.search(r"^      kind=\w, x=", narrow, re.MULTILINE)

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest

from hpo import results
from hpo.errors import MachineError, Mistake
from hpo.record import Budget, Ledger, Settings, StudyFolder, write_text
from hpo.results import comparison, tables
from hpo.space import Categorical, DatasetSpec, Domain, Fidelity, SearchSpace, Task
from hpo.spacefile import references
from hpo.trial import Crash, Decision, Report, Scalar, Suggestion
from tests import toy


def report(trial: int, fidelity: int, loss: float, raw: float) -> Report:
    return Report(trial, fidelity, loss, {"val_loss": raw, "val_accuracy": 0.5, "train_loss": raw / 2}, 1.25)


def write_trials(ledger: Ledger) -> None:
    """A complete trial whose best epoch is its second, a paused one, a crashed one."""
    ledger.suggest(Suggestion(0, {"kind": "a", "x": 0.25, "y": 0.5}, 9, 2))
    for epoch, (loss, raw) in enumerate([(3.0, 3.0), (2.0, 2.0), (2.0, 2.5)], start=1):
        ledger.record(report(0, epoch, loss, raw))
    ledger.settle(report(0, 3, 2.0, 2.5), {0: Decision.STOP})
    ledger.suggest(Suggestion(1, {"kind": "b", "x": 0.125}, 1))
    ledger.record(report(1, 1, 1.0, 1.0))
    ledger.settle(report(1, 1, 1.0, 1.0), {1: Decision.PAUSE})
    ledger.suggest(Suggestion(2, {"kind": "b", "x": 0.0}, 9))
    ledger.record(Crash(2, "ValueError", "no"))
    ledger.settle(Crash(2, "ValueError", "no"), {})


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    folder = tmp_path / "s"
    folder.mkdir()
    study = StudyFolder(folder, toy.space(), Settings(runner="inline"), Budget())
    ledger = study.begin()
    write_trials(ledger)
    ledger.close()
    return study


def test_rows_come_best_first_and_failures_last(study: StudyFolder) -> None:
    frame = tables.table(study)
    assert list(frame["trial"]) == [1, 0, 2]
    assert list(frame["state"]) == ["paused", "stopped", "crashed"]


def test_a_row_holds_the_metrics_of_its_stopping_epoch(study: StudyFolder) -> None:
    row = tables.table(study).set_index("trial").loc[0]
    assert row["stopping_epoch"] == 2
    assert row["epochs"] == 3
    assert row["val_loss"] == 2.0
    assert row["train_loss"] == 1.0
    assert row["seconds"] == 3.75
    assert row["bracket"] == 2


def test_hyperparameters_are_columns_in_the_order_of_the_space(study: StudyFolder) -> None:
    columns = list(tables.table(study).columns)
    assert columns[:5] == ["trial", "state", "kind", "x", "y"]
    assert columns[5:8] == ["train_loss", "val_loss", "val_accuracy"]


def test_a_hyperparameter_that_is_not_active_is_empty(study: StudyFolder) -> None:
    assert list(tables.table(study)["y"].isna()) == [True, False, True]


def test_a_finished_study_shows_paused_trials_as_stopped(study: StudyFolder) -> None:
    ledger = study.ledger(write=True)
    ledger.close_unfinished("enough")
    ledger.close()
    assert list(tables.table(study)["state"]) == ["stopped", "stopped", "crashed"]


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
    with pytest.raises(Mistake, match="did you mean 'latex'"):
        results.render(tables.table(study), "latx")


def test_the_study_folder_gets_all_trials_and_the_best(study: StudyFolder) -> None:
    results.write_tables(study)
    assert len(pd.read_csv(study.folder / "trials.csv")) == 3
    assert list(pd.read_csv(study.folder / "best.csv")["trial"]) == [1, 0]


def test_a_file_that_cannot_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    """A folder takes the place of the file, so the last step, the renaming, fails."""
    target = tmp_path / "table.csv"
    target.mkdir()
    with pytest.raises(MachineError, match=r"table\.csv: cannot be written"):
        write_text(target, "a,b\n")
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_study_without_trials_is_an_empty_table(tmp_path: Path) -> None:
    folder = tmp_path / "e"
    folder.mkdir()
    study = StudyFolder(folder, toy.space(), Settings(), Budget())
    study.begin().close()
    frame = tables.table(study)
    assert len(frame) == 0
    results.write_tables(study)
    assert (folder / "trials.csv").read_text().startswith("trial,state,kind,x,y")


@pytest.fixture
def published(tmp_path: Path) -> StudyFolder:
    """A study of a space that names published numbers: one trial with their hyperparameters, one without."""
    domains: dict[str, Domain] = {"lr": Categorical((1e-3, 1e-2))}
    task = Task(regime="from_scratch", model="alexnet", dataset=DatasetSpec("caltech101"))
    fixed: dict[str, Scalar] = {"optimizer": "sgd", "momentum": 0.9, "step_size": 20, "gamma": 0.1}
    space = SearchSpace("p", domains, Fidelity(9), task, fixed, reference="caltech101_alexnet_scratch_default")
    (tmp_path / "p").mkdir()
    study = StudyFolder(tmp_path / "p", space, Settings(runner="inline"), Budget())
    ledger = study.begin()
    for number, (lr, loss) in enumerate([(1e-3, 4.25), (1e-2, 1 / 3)]):
        ledger.suggest(Suggestion(number, {"lr": lr}, 9))
        ledger.record(report(number, 1, loss, loss))
    ledger.close()
    return study


def test_a_comparison_sets_published_numbers_beside_those_found(published: StudyFolder) -> None:
    frame = comparison.compared(published, tables.table(published))
    assert frame is not None
    assert list(frame["source"]) == ["both", "found"]
    assert list(frame["trial"]) == [0, 1]
    assert (frame["val_loss published"][0], frame["val_loss found"][0]) == (4.54, 4.25)
    assert list(frame["dataset"]) == ["caltech101"] * 2


@pytest.mark.parametrize(("variant", "row"), [("full", 2), ("few_shot", 5)])
def test_what_all_trials_share_tells_published_rows_apart(variant: str, row: int) -> None:
    data = DatasetSpec("pacs", {"domain": "cartoon", "variant": variant})
    task = Task("fine_tune", "resnet18", dataset=data)
    space = SearchSpace("p", {"lr": Categorical((1e-3, 3e-3))}, Fidelity(9), task, {"augmentation": "none"})
    found = pd.DataFrame({"trial": [0, 1], "lr": [1e-3, 3e-3], "loss": [0.1, 0.2], "epochs": [9, 9]})
    frame = references.side_by_side(found, references.read("pacs_cartoon_resnet18"), comparison.constants(space))
    assert list(frame.index[frame["source"] == "both"]) == [row]


def test_a_study_folder_gets_the_comparison_as_csv_and_as_a_page(published: StudyFolder) -> None:
    results.write_tables(published)
    assert list(pd.read_csv(published.folder / "comparison.csv")["val_loss found"]) == [4.25, 1 / 3]
    page = (published.folder / "comparison.md").read_text()
    assert page.startswith("# p: published (caltech101_alexnet_scratch_default) and found\n\n| source ")
    assert " 0.3333 " in page
    assert "nan" not in page.lower()
    assert "<NA>" not in page
    assert page.endswith("\n\n1. two digits only\n")
    shared = (
        "dataset caltech101, model alexnet, regime from_scratch, optimizer sgd, momentum 0.9, step_size 20, gamma 0.1"
    )
    assert f"\n\nIn every row: {shared}.\n\n" in page


def test_every_format_renders_a_comparison(published: StudyFolder) -> None:
    frame = comparison.compared(published, tables.table(published))
    assert frame is not None
    for format in results.FORMATS:
        text = results.render(frame, format)
        assert "val_loss published" in text.replace("\\_", "_")
        assert "nan" not in text.lower()
        assert "<NA>" not in text


def test_a_space_without_published_numbers_has_no_comparison(study: StudyFolder) -> None:
    assert comparison.compared(study, tables.table(study)) is None
    results.write_tables(study)
    assert not (study.folder / "comparison.csv").exists()

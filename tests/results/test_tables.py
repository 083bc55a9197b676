from __future__ import annotations

from hpo.record import StudyFolder
from hpo.results import tables


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

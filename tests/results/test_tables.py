from __future__ import annotations

import pytest

from hpo.record import StudyFolder
from hpo.results import tables
from hpo.trial import Report, Suggestion


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


def test_the_most_memory_that_an_epoch_took_is_a_column_where_it_was_measured(study: StudyFolder) -> None:
    assert not {"peak_host_gib", "peak_gpu_gib"} & set(tables.table(study))
    ledger = study.ledger(write=True)
    ledger.suggest(Suggestion(3, {"kind": "b", "x": 0.5}, 2))
    for epoch, peak in ((1, 0.75), (2, 0.5)):
        ledger.record(Report(3, epoch, 9.0, {"val_loss": 9.0}, 0.1, peak_host_gib=peak))
    ledger.close()
    frame = tables.table(study).set_index("trial")
    assert frame["peak_host_gib"].fillna(0).to_dict() == {3: 0.75, 0: 0, 1: 0, 2: 0}
    assert "peak_gpu_gib" not in frame
    assert "peak_host_gib" not in tables.short(frame, ["kind", "x", "y"])


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


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        ("val_f1_error", "loss: the objective that the search minimised, val_f1_error (1 - val_f1)."),
        ("my.code:cost", "loss: the objective that the search minimised, val_cost (my.code:cost)."),
        ("val_loss", "loss: the objective that the search minimised, val_loss."),
    ],
)
def test_a_line_says_what_the_column_loss_is(study: StudyFolder, objective: str, words: str) -> None:
    frame = tables.table(study)
    assert tables.loss_line(frame, objective) == words
    assert tables.loss_line(tables.short(frame, study.space.domains, objective), objective) is None

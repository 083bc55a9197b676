from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from hpo.record import Budget, Decisions, Event, Retry, Settings, State, StudyFolder
from hpo.trial import Crash, Decision, Report, Suggestion
from tests import toy

INLINE = Settings(runner="inline", devices="cpu", seed=3)


def test_events_keep_their_order_and_their_values_through_the_ledger(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path, toy.space(), INLINE, Budget())
    events: list[Event] = [
        Suggestion(0, {"kind": "a", "x": 0.1, "y": 1e-3}, 3, 1, {"model_based_pick": True}),
        Suggestion(1, {"kind": "b", "x": 1 / 3}, 3),
        Report(1, 1, math.inf, {"val_loss": math.nan, "extra": -math.inf}, 0.25, True),
        Report(0, 1, 0.1 + 0.2, {"val_loss": 0.1 + 0.2}, 0.25, peak_host_gib=0.75, peak_gpu_gib=1.5),
        Decisions(0, 1, {0: Decision.STOP}),
        Suggestion(2, {"kind": "b", "x": 0.0}, 3),
        Crash(2, "ValueError", "line\nline"),
        Retry((2,)),
    ]
    ledger = study.begin()
    for event in events:
        if isinstance(event, Suggestion):
            ledger.suggest(event)
        elif isinstance(event, Decisions):
            ledger.settle(events[3], event.decisions)  # type: ignore[arg-type]
        elif isinstance(event, Retry):
            ledger.retry(event)
        else:
            ledger.record(event)
    ledger.close()
    again = study.ledger(write=False)
    assert repr(again.history.events) == repr(events)
    assert [trial.state for trial in again.history.trials.values()] == [State.STOPPED, State.COMPLETE, State.CRASHED]
    again.close()


@pytest.mark.parametrize("storage", [None, "sqlite:///{}/record.db"])
def test_a_finished_trial_shows_the_validation_metrics_of_its_stopping_epoch(
    storage: str | None, tmp_path: Path
) -> None:
    settings = replace(INLINE, storage=storage and storage.format(tmp_path))
    study = StudyFolder(tmp_path, toy.space(high=3), settings, Budget())
    ledger = study.begin()
    f1 = {0: (0.5, 0.75, 0.25), 1: (math.nan, math.nan), 2: ()}
    for number, values in f1.items():
        ledger.suggest(Suggestion(number, {"kind": "b", "x": 0.5}, 3))
        for epoch, value in enumerate(values, 1):
            report = Report(number, epoch, 1 - value, {"val_loss": 1 - value, "val_f1": value, "train_loss": 0.1}, 0.1)
            ledger.record(report)
            ledger.settle(report, {})
    ledger.suggest(Suggestion(3, {"kind": "b", "x": 0.5}, 3))
    metrics = {"val_loss": math.inf, "val_f1": math.nan}
    last = Report(3, 1, math.inf, metrics, 0.1, last=True, peak_host_gib=0.5)
    ledger.record(last)
    ledger.settle(last, {})
    assert _shown(study) == [
        {"stopping_epoch": 2, "val_loss": 0.25, "val_f1": 0.75},
        {},
        {},
        {"stopping_epoch": 1, "val_loss": "inf", "val_f1": "nan", "peak_host_gib": 0.5},
    ]
    before = repr(ledger.history.events)
    ledger.close()
    again = study.ledger(write=True)
    assert repr(again.history.events) == before
    again.close()


def _shown(study: StudyFolder) -> list[dict[str, object]]:
    """The attributes of each trial that are no part of the record, as Optuna reads them."""
    location = study.storage_location
    storage = location if isinstance(location, str) else JournalStorage(JournalFileBackend(str(location)))
    trials = optuna.load_study(study_name=study.name, storage=storage).trials
    record = ("trial", "bracket")
    return [
        {key: value for key, value in trial.user_attrs.items() if key not in record and ":" not in key}
        for trial in trials
    ]

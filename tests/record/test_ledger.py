from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from benchmarks.postgresql_server import PostgresqlServer
from hpo.record import Budget, Decisions, Event, Retry, Settings, State, StudyFolder, open_storage, recorded_url
from hpo.record.storage import close_storage
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


@pytest.mark.parametrize("kind", ["journal", "sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_a_paused_trial_goes_on_after_its_study_was_closed(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Optuna's trial is finished then, so the trial goes on as a copy of it."""
    url = f"sqlite:///{tmp_path}/record.db" if kind == "sqlite" else None
    if kind == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql")
        url = recorded_url(server.url(request.getfixturevalue("database")))
    study = StudyFolder(tmp_path / "s", toy.space(high=3), replace(INLINE, storage=url), Budget())
    study.folder.mkdir()
    reports = [Report(0, epoch, 1 / epoch, {"val_loss": 1 / epoch}, 0.1) for epoch in (1, 2, 3)]
    ledger = study.begin()
    ledger.suggest(Suggestion(0, {"kind": "b", "x": 0.5}, 1))
    for number in (1, 2):
        ledger.suggest(Suggestion(number, {"kind": "b", "x": 0.25}, 3))
    ledger.record(reports[0])
    ledger.settle(reports[0], {0: Decision.PAUSE})
    ledger.close_unfinished("the budget is spent")
    ledger.close()
    again = study.ledger(write=True)
    again.reopen(study.folder)
    again.suggest(Suggestion(0, {"kind": "b", "x": 0.5}, 3))
    for report in reports[1:]:
        again.record(report)
        again.settle(report, {})
    events = again.history.events
    again.close()
    history, reason = study.history()
    assert repr(history.events) == repr(events)
    assert reason is None
    assert [trial.state for trial in history.trials.values()] == [State.COMPLETE, State.RUNNING, State.RUNNING]
    storage, _ = open_storage(study.storage_location, write=False)
    trials = storage.get_all_trials(storage.get_study_id_from_name("s"))
    close_storage(storage)
    assert [trial.user_attrs["trial"] for trial in trials] == [0, 1, 2, 0]
    assert [trial.state for trial in trials] == [*[TrialState.PRUNED] * 3, TrialState.COMPLETE]
    assert trials[0].intermediate_values == {1: 1.0}
    assert trials[3].intermediate_values == {1: 1.0, 2: 1 / 2, 3: 1 / 3}
    assert (trials[3].params, trials[3].value) == (trials[0].params, 1 / 3)

"""The writers: all of them write what Optuna itself would, and a database's writers know its tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import BaseStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from benchmarks.postgresql_server import PostgresqlServer
from benchmarks.round_trips import QUERY, proxy
from hpo.record import Budget, Settings, StudyFolder, recorded_url
from hpo.record.database_writer import DatabaseWriter
from hpo.record.outages import Outages
from hpo.record.postgresql_writer import PostgresqlWriter
from hpo.record.storage import close_storage, open_storage
from hpo.record.trial_writer import StorageWriter, TrialChange, TrialWriter
from hpo.record.writers import writer
from hpo.trial import Decision, Report, Suggestion
from tests import toy

INLINE = Settings(runner="inline", devices="cpu", seed=3)
COLUMNS = {
    "studies": {"study_id", "study_name"},
    "study_user_attributes": {"study_user_attribute_id", "study_id", "key", "value_json"},
    "trials": {"trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete"},
    "trial_params": {"param_id", "trial_id", "param_name", "param_value", "distribution_json"},
    "trial_user_attributes": {"trial_user_attribute_id", "trial_id", "key", "value_json"},
    "trial_values": {"trial_value_id", "trial_id", "objective", "value", "value_type"},
    "trial_intermediate_values": {
        "trial_intermediate_value_id",
        "trial_id",
        "step",
        "intermediate_value",
        "intermediate_value_type",
    },
}
"""The columns of Optuna's tables that the writers fill. A column more, or one less, needs a look at the writers."""


def test_the_tables_of_optuna_are_those_that_the_writers_know() -> None:
    tables = models.BaseModel.metadata.tables
    assert {name: {column.name for column in tables[name].columns} for name in COLUMNS} == COLUMNS
    assert {state.name for state in TrialState} == {"RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING"}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BaseStorage]:
    """A storage in an empty database."""
    url = f"sqlite:///{tmp_path}/s.db"
    if request.param == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql")
        url = server.url(request.getfixturevalue("database"))
    recorded = recorded_url(url)
    assert recorded is not None
    opened, _ = open_storage(recorded, write=True)
    yield opened
    close_storage(opened)


def test_a_databases_writer_writes_what_optuna_writes(storage: BaseStorage) -> None:
    ours, optunas = (_written(storage, name, make) for name, make in (("ours", _own_writer), ("its", StorageWriter)))
    assert ours == optunas
    assert [trial["state"] for trial in ours] == [TrialState.RUNNING, TrialState.PRUNED, TrialState.FAIL]
    assert ours[0]["intermediate_values"][2] == 0.1 + 0.2
    assert ours[1]["values"] == [math.inf]


def _own_writer(storage: BaseStorage) -> TrialWriter:
    chosen = writer(storage, Outages())
    assert isinstance(chosen, DatabaseWriter)
    return chosen


def _written(storage: BaseStorage, name: str, make: Callable[[BaseStorage], TrialWriter]) -> list[dict[str, Any]]:
    """What Optuna reads of a study after some changes by a writer, without ids and times."""
    study_id = storage.create_new_study([StudyDirection.MINIMIZE], name)
    chosen = make(storage)
    kinds = CategoricalDistribution(("a", 'b"\\\n', None, True))
    distributions: dict[str, BaseDistribution] = {"x": FloatDistribution(0, 1), "kind": kinds}
    ids = []
    for number in range(3):
        trial = create_trial(
            state=TrialState.RUNNING,
            params={"x": 1 / 3, "kind": 'b"\\\n'},
            distributions=distributions,
            user_attrs={"trial": number, 'a "key": \u00fc': {"text": "line\nline \x00 \U0001f600", "nan": "nan"}},
            intermediate_values={1: 5e-324, 7: -math.inf} if number else {},
        )
        ids.append(chosen.create(study_id, trial, after=-1))
    chosen.change([])
    chosen.change([TrialChange(ids[0], {"report:1": {"n": 1}, "trial": 0}, {1: math.nan, 2: 0.3, 3: math.inf})])
    chosen.change(
        [
            TrialChange(ids[0], {"report:1": {"n": 2}}, {2: 0.1 + 0.2}),
            TrialChange(ids[1], {"stopping_epoch": 3}, {}, TrialState.PRUNED, math.inf),
            TrialChange(ids[2], {}, {1: 1.7e308}, TrialState.FAIL),
        ]
    )
    for value in ({"a": 1}, None):
        chosen.set_study_attribute(study_id, "finished", value)
    assert storage.get_study_user_attrs(study_id) == {"finished": None}
    trials = storage.get_all_trials(study_id)
    assert all(trial.datetime_start is not None for trial in trials)
    assert [trial.datetime_complete is None for trial in trials] == [True, False, False]
    fields = ("number", "state", "values", "params", "distributions", "user_attrs", "intermediate_values")
    return [{name: _comparable(getattr(trial, name)) for name in fields} for trial in trials]


def _comparable(value: Any) -> Any:
    """NaN equals nothing, so it is compared as text."""
    if isinstance(value, dict):
        return {key: _comparable(each) for key, each in value.items()}
    return "nan" if isinstance(value, float) and math.isnan(value) else value


def test_a_finished_trial_is_not_finished_again(storage: BaseStorage) -> None:
    study_id = storage.create_new_study([StudyDirection.MINIMIZE], "s")
    chosen = _own_writer(storage)
    trial_id = chosen.create(study_id, create_trial(state=TrialState.RUNNING, user_attrs={"trial": 0}), after=-1)
    chosen.change([TrialChange(trial_id, {}, {}, TrialState.COMPLETE, 0.5)])
    ended = storage.get_all_trials(study_id)[0].datetime_complete
    chosen.change([TrialChange(trial_id, {}, {}, TrialState.PRUNED, 0.5)])
    again = storage.get_trial(trial_id)
    assert (again.state, again.datetime_complete) == (TrialState.COMPLETE, ended)


@pytest.mark.slow
def test_an_event_is_one_round_trip_to_postgresql(postgresql: PostgresqlServer, database: str, tmp_path: Path) -> None:
    with proxy(postgresql.port) as counted:
        url = recorded_url(postgresql.url(database, port=counted.port) + QUERY)
        study = StudyFolder(tmp_path, toy.space(high=3), replace(INLINE, storage=url), Budget())
        ledger = study.begin()
        assert isinstance(ledger._writer, PostgresqlWriter)
        trips = []
        for number in range(10):
            report = Report(number, 1, 0.5, {"val_loss": 0.5}, 0.1)
            steps: list[Callable[[], None]] = [
                partial(ledger.suggest, Suggestion(number, {"kind": "b", "x": 0.5}, 3)),
                partial(ledger.record, report),
                partial(ledger.settle, report, {}),
                partial(ledger.settle, report, {number: Decision.STOP}),
            ]
            for step in steps:
                before = counted.n_round_trips
                step()
                trips.append(counted.n_round_trips - before)
        ledger.close()
    # psycopg sends a statement by one round trip, and prepares it once by another when it was sent a few times.
    assert trips[:4] == [1, 1, 0, 1]
    assert trips[-4:] == [1, 1, 0, 1]

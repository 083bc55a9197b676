"""The writer of databases: all changes of an event in one transaction, in the tables of Optuna.

Optuna's storage of a database reads a trial before each change of it, and commits each change. Here nothing is read,
and all rows of an event are committed together. The tables are Optuna's, so everything that reads Optuna studies reads
these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Engine, Insert, Table, bindparam, func, insert, select, update
from sqlalchemy.dialects import mysql, postgresql, sqlite

from hpo.record.outages import Outages
from hpo.record.trial_writer import TrialChange

Row = dict[str, Any]

STUDIES: Table = models.StudyModel.__table__
STUDY_ATTRIBUTES: Table = models.StudyUserAttributeModel.__table__
TRIALS: Table = models.TrialModel.__table__
PARAMS: Table = models.TrialParamModel.__table__
ATTRIBUTES: Table = models.TrialUserAttributeModel.__table__
INTERMEDIATE: Table = models.TrialIntermediateValueModel.__table__
VALUES: Table = models.TrialValueModel.__table__
DIALECTS = ("sqlite", "postgresql", "mysql", "mariadb")
"""The databases in which a row can be inserted or replaced by one statement."""


class DatabaseWriter:
    """Writes into a database. While the database does not answer, it waits as its `Outages` says."""

    def __init__(self, engine: Engine, outages: Outages) -> None:
        self._engine = engine
        self._outages = outages
        self._attributes = _replacing(engine, ATTRIBUTES, ("trial_id", "key"))
        self._intermediate = _replacing(engine, INTERMEDIATE, ("trial_id", "step"))
        self._values = _replacing(engine, VALUES, ("trial_id", "objective"))
        self._study_attribute = _replacing(engine, STUDY_ATTRIBUTES, ("study_id", "key"))
        running = (TRIALS.c.trial_id == bindparam("id")) & (TRIALS.c.state == TrialState.RUNNING)
        self._states = update(TRIALS).where(running)

    def create(self, study_id: int, trial: FrozenTrial, *, after: int) -> int:
        def create() -> int:
            return self._create(study_id, trial)

        def create_unless_created() -> int:
            with self._engine.begin() as connection:
                created = _created(connection, study_id, trial.user_attrs["trial"], after)
                return self._create(study_id, trial, connection) if created is None else created

        return self._outages.run(create, create_unless_created)

    def change(self, changes: Sequence[TrialChange]) -> None:
        if changes:
            self._outages.run(lambda: self._change(changes))

    def set_study_attribute(self, study_id: int, key: str, value: object) -> None:
        row = {"study_id": study_id, "key": key, "value_json": json.dumps(value)}
        self._outages.run(lambda: self._execute(self._study_attribute, row))

    def _execute(self, statement: Insert, row: Row) -> None:
        with self._engine.begin() as connection:
            connection.execute(statement, row)

    def _create(self, study_id: int, trial: FrozenTrial, connection: Connection | None = None) -> int:
        """Create a trial, in the transaction of `connection` or in one of its own."""
        if connection is None:
            with self._engine.begin() as own:
                return self._create(study_id, trial, own)
        # One process at a time writes into a study, so no other trial can take this number.
        number = connection.scalar(select(func.count()).where(TRIALS.c.study_id == study_id))
        row = {"study_id": study_id, "number": number, "state": TrialState.RUNNING, "datetime_start": _now()}
        created = connection.execute(insert(TRIALS), row).inserted_primary_key
        assert created is not None
        trial_id = int(created[0])
        if params := param_rows(trial):
            connection.execute(insert(PARAMS), [{"trial_id": trial_id, **row} for row in params])
        self._insert(connection, trial_id, trial.user_attrs, trial.intermediate_values)
        return trial_id

    def _change(self, changes: Sequence[TrialChange]) -> None:
        with self._engine.begin() as connection:
            for each in changes:
                self._insert(connection, each.trial_id, each.attributes, each.intermediate_values)
            if values := value_rows(changes):
                connection.execute(self._values, values)
            for each in changes:
                if each.state is not None:
                    state = {"id": each.trial_id, "state": each.state, "datetime_complete": _now()}
                    connection.execute(self._states, state)

    def _insert(
        self, connection: Connection, trial_id: int, attributes: Mapping[str, Any], values: Mapping[int, float]
    ) -> None:
        if attributes:
            connection.execute(self._attributes, attribute_rows(trial_id, attributes))
        if values:
            connection.execute(self._intermediate, intermediate_rows(trial_id, values))


def attribute_rows(trial_id: int, attributes: Mapping[str, Any]) -> list[Row]:
    """The rows of user attributes of a trial."""
    return [{"trial_id": trial_id, "key": key, "value_json": json.dumps(value)} for key, value in attributes.items()]


def intermediate_rows(trial_id: int, values: Mapping[int, float]) -> list[Row]:
    """The rows of intermediate values of a trial, by epoch."""
    rows = []
    for epoch, value in values.items():
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
        rows.append(
            {"trial_id": trial_id, "step": epoch, "intermediate_value": stored, "intermediate_value_type": kind}
        )
    return rows


def value_rows(changes: Sequence[TrialChange]) -> list[Row]:
    """The rows of the objectives of trials that are finished."""
    rows = []
    for each in changes:
        if each.value is not None:
            stored, kind = models.TrialValueModel.value_to_stored_repr(each.value)
            rows.append({"trial_id": each.trial_id, "objective": 0, "value": stored, "value_type": kind})
    return rows


def param_rows(trial: FrozenTrial) -> list[Row]:
    """The rows of the parameters of a trial, without its id."""
    return [
        {
            "param_name": name,
            "param_value": float(trial.distributions[name].to_internal_repr(value)),
            "distribution_json": distribution_to_json(trial.distributions[name]),
        }
        for name, value in trial.params.items()
    ]


def _replacing(engine: Engine, table: Table, keys: Sequence[str]) -> Insert:
    """The statement that inserts a row, or replaces the row that has the same keys."""
    rest = [column.name for column in table.columns if column.name not in keys and not column.primary_key]
    if engine.dialect.name in ("mysql", "mariadb"):
        upsert = mysql.insert(table)
        return upsert.on_duplicate_key_update({name: upsert.inserted[name] for name in rest})
    dialect: Any = postgresql if engine.dialect.name == "postgresql" else sqlite
    inserted = dialect.insert(table)
    new = {name: inserted.excluded[name] for name in rest}
    replacing: Insert = inserted.on_conflict_do_update(index_elements=list(keys), set_=new)
    return replacing


def _created(connection: Connection, study_id: int, number: int, after: int) -> int | None:
    """The id of a trial that was created by an attempt whose answer was lost. None if it was not created.

    The row of the study is locked first, so that an attempt which the server still executes ends before.
    """
    connection.execute(select(STUDIES.c.study_id).where(STUDIES.c.study_id == study_id).with_for_update())
    is_it = (ATTRIBUTES.c.key == "trial") & (ATTRIBUTES.c.value_json == json.dumps(number))
    query = (
        select(func.max(TRIALS.c.trial_id))
        .join(ATTRIBUTES, ATTRIBUTES.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.trial_id > after, is_it)
    )
    created: int | None = connection.scalar(query)
    return created


def _now() -> datetime:
    """The time as Optuna stores it: in UTC, without a time zone."""
    return datetime.now(UTC).replace(tzinfo=None)

"""The writer of PostgreSQL: all changes of an event by one statement, which is one round trip to the server.

A statement outside of a transaction is one by itself: all of its rows are committed, or none. The rows are given as
JSON, so that one statement holds any number of them, for several tables.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import Enum
from typing import Any

from optuna.trial import FrozenTrial
from sqlalchemy import Connection, Engine, Insert, text

from hpo.record.database_writer import (
    DatabaseWriter,
    Row,
    attribute_rows,
    intermediate_rows,
    param_rows,
    value_rows,
)
from hpo.record.outages import Outages
from hpo.record.trial_writer import TrialChange

_CREATE = text("""
WITH trial AS (
    INSERT INTO trials (study_id, number, state, datetime_start)
    SELECT CAST(:study_id AS integer), count(*), CAST('RUNNING' AS trialstate), timezone('UTC', clock_timestamp())
    FROM trials WHERE study_id = :study_id
    RETURNING trial_id
), params AS (
    INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
    SELECT trial.trial_id, given.param_name, given.param_value, given.distribution_json
    FROM trial, json_to_recordset(CAST(:params AS json))
        AS given (param_name text, param_value double precision, distribution_json text)
), attributes AS (
    INSERT INTO trial_user_attributes (trial_id, key, value_json)
    SELECT trial.trial_id, given.key, given.value_json
    FROM trial, json_to_recordset(CAST(:attributes AS json)) AS given (key text, value_json text)
), intermediate AS (
    INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)
    SELECT trial.trial_id, given.step, given.intermediate_value, given.intermediate_value_type
    FROM trial, json_to_recordset(CAST(:intermediate AS json))
        AS given (step integer, intermediate_value double precision, intermediate_value_type trialintermediatevaluetype)
)
SELECT trial_id FROM trial
""")

_CHANGE = text("""
WITH attributes AS (
    INSERT INTO trial_user_attributes (trial_id, key, value_json)
    SELECT trial_id, key, value_json
    FROM json_to_recordset(CAST(:attributes AS json)) AS given (trial_id integer, key text, value_json text)
    ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json
), intermediate AS (
    INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)
    SELECT trial_id, step, intermediate_value, intermediate_value_type
    FROM json_to_recordset(CAST(:intermediate AS json)) AS given (
        trial_id integer, step integer,
        intermediate_value double precision, intermediate_value_type trialintermediatevaluetype
    )
    ON CONFLICT (trial_id, step) DO UPDATE SET
        intermediate_value = excluded.intermediate_value, intermediate_value_type = excluded.intermediate_value_type
), objectives AS (
    INSERT INTO trial_values (trial_id, objective, value, value_type)
    SELECT trial_id, objective, value, value_type
    FROM json_to_recordset(CAST(:values AS json))
        AS given (trial_id integer, objective integer, value double precision, value_type trialvaluetype)
    ON CONFLICT (trial_id, objective) DO UPDATE SET value = excluded.value, value_type = excluded.value_type
)
UPDATE trials SET state = given.state, datetime_complete = timezone('UTC', clock_timestamp())
FROM json_to_recordset(CAST(:states AS json)) AS given (trial_id integer, state trialstate)
WHERE trials.trial_id = given.trial_id AND trials.state = 'RUNNING'
""")


class PostgresqlWriter(DatabaseWriter):
    """Writes into PostgreSQL, by one round trip for each call."""

    def __init__(self, engine: Engine, outages: Outages) -> None:
        super().__init__(engine, outages)
        self._autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")

    def _execute(self, statement: Insert, row: Row) -> None:
        with self._autocommit.connect() as connection:
            connection.execute(statement, row)

    def _create(self, study_id: int, trial: FrozenTrial, connection: Connection | None = None) -> int:
        if connection is None:
            with self._autocommit.connect() as own:
                return self._create(study_id, trial, own)
        rows = {
            "study_id": study_id,
            "params": _json(param_rows(trial)),
            "attributes": _json(attribute_rows(0, trial.user_attrs)),
            "intermediate": _json(intermediate_rows(0, trial.intermediate_values)),
        }
        return int(connection.execute(_CREATE, rows).scalar_one())

    def _change(self, changes: Sequence[TrialChange]) -> None:
        attributes = [row for each in changes for row in attribute_rows(each.trial_id, each.attributes)]
        intermediate = [row for each in changes for row in intermediate_rows(each.trial_id, each.intermediate_values)]
        states = [{"trial_id": each.trial_id, "state": each.state.name} for each in changes if each.state is not None]
        rows = {
            "attributes": _json(attributes),
            "intermediate": _json(intermediate),
            "values": _json(value_rows(changes)),
            "states": _json(states),
        }
        with self._autocommit.connect() as connection:
            connection.execute(_CHANGE, rows)


def _json(rows: Sequence[Row]) -> str:
    """Rows as a JSON array. The values of an Enum are written by their names, as SQLAlchemy stores them."""
    return json.dumps(rows, default=_name, allow_nan=False)


def _name(value: Any) -> str:
    if isinstance(value, Enum):
        return value.name
    raise TypeError(f"{value!r} has no form in JSON")

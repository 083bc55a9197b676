"""Which writer a ledger uses: that of PostgreSQL, that of another database, or that of any Optuna storage."""

from __future__ import annotations

from optuna.storages import BaseStorage

from hpo.record.database_writer import DIALECTS, DatabaseWriter
from hpo.record.outages import Outages
from hpo.record.postgresql_writer import PostgresqlWriter
from hpo.record.storage import database_engine
from hpo.record.trial_writer import StorageWriter, TrialWriter


def writer(storage: BaseStorage, outages: Outages) -> TrialWriter:
    """The writer of a storage."""
    engine = database_engine(storage)
    if engine is None or engine.dialect.name not in DIALECTS:
        return StorageWriter(storage)
    if engine.dialect.name == "postgresql":
        return PostgresqlWriter(engine, outages)
    return DatabaseWriter(engine, outages)

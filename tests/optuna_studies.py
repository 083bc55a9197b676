"""What Optuna itself reads of a study in a database or a journal."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial


def all_trials(url: str, name: str) -> list[FrozenTrial]:
    """All Optuna trials of a study."""
    storage = RDBStorage(url)
    try:
        return optuna.load_study(study_name=name, storage=storage).get_trials()
    finally:
        storage.remove_session()
        storage.engine.dispose()


def journal_trials(journal: Path) -> list[FrozenTrial]:
    """All Optuna trials of the only study in a journal file."""
    storage = JournalStorage(JournalFileBackend(str(journal)))
    (study,) = storage.get_all_studies()
    return optuna.load_study(study_name=study.study_name, storage=storage).get_trials()


def newest_trials(url: str, name: str) -> dict[int, FrozenTrial]:
    """The newest Optuna trial of each trial of a study, by its number in the ledger."""
    return {trial.user_attrs["trial"]: trial for trial in all_trials(url, name)}

"""What Optuna itself reads of a study in a database."""

from __future__ import annotations

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial


def all_trials(url: str, name: str) -> list[FrozenTrial]:
    """All Optuna trials of a study."""
    storage = RDBStorage(url)
    try:
        return optuna.load_study(study_name=name, storage=storage).get_trials()
    finally:
        storage.remove_session()
        storage.engine.dispose()


def newest_trials(url: str, name: str) -> dict[int, FrozenTrial]:
    """The newest Optuna trial of each trial of a study, by its number in the ledger."""
    return {trial.user_attrs["trial"]: trial for trial in all_trials(url, name)}

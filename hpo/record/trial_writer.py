"""How the ledger writes into an Optuna study: what changes in its trials, and the writer of any Optuna storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState


@dataclass(frozen=True)
class TrialChange:
    """What changes in one Optuna trial."""

    trial_id: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """User attributes, by their keys."""
    intermediate_values: Mapping[int, float] = field(default_factory=dict)
    """Values by epoch."""
    state: TrialState | None = None
    """The state in which the trial is finished. None if it goes on."""
    value: float | None = None
    """The objective of a trial that is finished. None if it has none."""


class TrialWriter(Protocol):
    """Writes into Optuna studies."""

    def create(self, study_id: int, trial: FrozenTrial, *, after: int) -> int:
        """Create a trial that is RUNNING, and return its id.

        Its user attribute `trial` is its number in the ledger. `after` is the id of the newest Optuna trial with this
        number, or -1 if there is none yet.
        """

    def change(self, changes: Sequence[TrialChange]) -> None:
        """Change trials that are RUNNING. In a database, all changes are made or none."""

    def set_study_attribute(self, study_id: int, key: str, value: object) -> None:
        """Set a user attribute of a study."""


class StorageWriter:
    """Writes into any Optuna storage, by one operation for each attribute, value and state."""

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage

    def create(self, study_id: int, trial: FrozenTrial, *, after: int) -> int:
        return self._storage.create_new_trial(study_id, trial)

    def change(self, changes: Sequence[TrialChange]) -> None:
        for each in changes:
            for key, attribute in each.attributes.items():
                self._storage.set_trial_user_attr(each.trial_id, key, attribute)
            for epoch, value in each.intermediate_values.items():
                self._storage.set_trial_intermediate_value(each.trial_id, epoch, value)
            if each.state is not None:
                values = None if each.value is None else [each.value]
                self._storage.set_trial_state_values(each.trial_id, each.state, values)

    def set_study_attribute(self, study_id: int, key: str, value: object) -> None:
        self._storage.set_study_user_attr(study_id, key, value)

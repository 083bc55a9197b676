"""Reads a study out of an Optuna storage: its events in order, and the newest Optuna trial of each trial.

A trial of a journal that can never go on is freed as soon as its events are read. So the record of many trials is not
in memory twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from hpo.errors import StudyError
from hpo.record import serialization
from hpo.record.history import Event
from hpo.record.journal import FastJournalStorage
from hpo.trial import Decision

NumberedEvent = tuple[int, float, Event]
"""An event with its number and its time in seconds since the search began."""


@dataclass
class StoredTrials:
    """The trials of a study in its storage."""

    optuna_ids: dict[int, int]
    """The id of the newest Optuna trial of each trial."""
    finished: set[int]
    """The trials whose newest Optuna trial is finished."""
    events: list[NumberedEvent]
    """The events of the study in their order."""


def read_stored_trials(storage: BaseStorage, study_id: int) -> StoredTrials:
    """Read the trials of a study.

    The trials of a journal that have ended can no longer be read from this `storage`.

    Raises a StudyError if another program has written trials into the Optuna study.
    """
    events = serialization.study_events(storage.get_study_user_attrs(study_id))
    newest = newest_trials(storage.get_all_trials(study_id, deepcopy=False))
    optuna_id = storage.get_trial_id_from_study_id_trial_number
    optuna_ids = {number: optuna_id(study_id, trial.number) for number, trial in newest.items()}
    finished = {number for number, trial in newest.items() if trial.state.is_finished()}
    stopped = _stopped(newest) & finished
    while newest:
        number, trial = newest.popitem()
        events.extend(_trial_events(number, trial))
        has_ended = trial.state in (TrialState.COMPLETE, TrialState.FAIL) or number in stopped
        if has_ended and isinstance(storage, FastJournalStorage):
            storage.forget(optuna_ids[number])
    events.sort(key=lambda numbered: numbered[0])
    return StoredTrials(optuna_ids, finished, events)


def newest_trials(trials: Sequence[FrozenTrial]) -> dict[int, FrozenTrial]:
    """Return the newest Optuna trial of each trial, by the number of the trial. `trials` are in ascending order.

    Raises a StudyError if another program has written trials into the Optuna study.
    """
    newest: dict[int, FrozenTrial] = {}
    for trial in trials:
        number = trial.user_attrs.get("trial")
        if number is None:
            raise StudyError(f"trial {trial.number} of the storage was not written by hpo: use a study of its own")
        newest[number] = trial
    return newest


def ordered_events(newest: Iterable[FrozenTrial], study_attributes: Mapping[str, Any]) -> list[NumberedEvent]:
    """Return all events of a study in their order, from its `newest_trials` and its user attributes."""
    events = serialization.study_events(study_attributes)
    for trial in newest:
        events.extend(_trial_events(trial.user_attrs["trial"], trial))
    return sorted(events, key=lambda numbered: numbered[0])


def _trial_events(number: int, trial: FrozenTrial) -> Iterator[NumberedEvent]:
    """Yield the events in the user attributes of an Optuna trial."""
    for key, value in trial.user_attrs.items():
        if (event := serialization.to_event(number, key, value)) is not None:
            yield value["n"], value["at"], event


def _stopped(trials: dict[int, FrozenTrial]) -> set[int]:
    """The trials that a decision on record stopped, which may be one on another trial's report."""
    decisions = (
        decision
        for trial in trials.values()
        for key, value in trial.user_attrs.items()
        if key.startswith("settled:")
        for decision in value["decisions"].items()
    )
    return {int(number) for number, fate in decisions if fate == Decision.STOP.value}

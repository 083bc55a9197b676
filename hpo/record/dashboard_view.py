"""The Optuna storage that the dashboard is given: one study, its trials under the numbers of hpo, and only for reading.

A trial that goes on after its study was closed has several Optuna trials, and the numbers of Optuna differ from those
of hpo from then on. Here each trial is one, under its own number. Its events, which are user attributes such as
`report:3`, are replaced by a few attributes that a person can read.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from copy import copy
from functools import partial
from typing import Any

from optuna.storages import BaseStorage
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from hpo.record import serialization
from hpo.record.history import History, State, Trial, shown_state
from hpo.record.lock import is_locked
from hpo.record.storage import ReadOnlyStorage, open_storage
from hpo.record.stored_trials import newest_trials, ordered_events
from hpo.record.study_folder import StudyFolder

_INTERNAL = ("origin", "finished", "folder")
"""The user attributes of a study that the dashboard does not show. `finished` is shown in words."""


class DashboardView:
    """One study of a storage. The other studies of a shared database are not there, and nothing can be written.

    For Optuna it is a storage: `isinstance(view, BaseStorage)` holds. What is not defined here is that of a
    `ReadOnlyStorage`.
    """

    def __init__(self, storage: BaseStorage, study_id: int, study: StudyFolder) -> None:
        self._storage: Any = ReadOnlyStorage(storage)
        self.study_id = study_id
        """The id of the study in its storage, which is part of the address of its page."""
        self._study = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_all_studies(self) -> list[FrozenStudy]:
        """The study, without the attributes that are only of use to hpo."""
        return [_readable_study(each) for each in self._storage.get_all_studies() if each._study_id == self.study_id]

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials in the order of their numbers. `deepcopy` makes no difference: they are copies in any case."""
        trials, _ = self._read(study_id)
        return [trial for trial in trials if states is None or trial.state in states]

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """The trial with a number, which is its id here too. Raises a KeyError if there is none."""
        for trial in self.get_all_trials(self.study_id):
            if trial.number == trial_id:
                return trial
        raise KeyError(f"there is no trial {trial_id}")

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """The number itself. Raises a KeyError if there is no such trial."""
        return self.get_trial(trial_number).number

    def get_n_trials(self, study_id: int, state: tuple[TrialState, ...] | TrialState | None = None) -> int:
        """The number of trials, each counted once."""
        states = (state,) if isinstance(state, TrialState) else state
        return len(self.get_all_trials(study_id, states=states))

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """The best of the complete trials. Raises a ValueError if no trial is complete."""
        trials, history = self._read(study_id)
        complete = {trial.number: trial for trial in trials if trial.state is TrialState.COMPLETE}
        for ranked in history.ranked():
            if ranked.number in complete:
                return complete[ranked.number]
        raise ValueError("no trial is complete yet")

    def _read(self, study_id: int) -> tuple[list[FrozenTrial], History]:
        """Return the trials in the order of their numbers, and the history of their events."""
        frozen = self._storage.get_all_trials(study_id, deepcopy=False)
        newest, first = newest_trials(frozen), newest_trials(frozen[::-1])
        attributes = self._storage.get_study_user_attrs(study_id)
        history = History(self._study.space.fidelity.high, self._study.space.metric)
        for _, _, event in ordered_events(newest.values(), attributes):
            history.append(event)
        state = partial(
            shown_state, closed=attributes.get("finished") is not None, searching=is_locked(self._study.folder)
        )
        trials = []
        for number in sorted(newest):
            trial, recorded = copy(newest[number]), history.trials[number]
            trial.number = trial._trial_id = number
            trial.datetime_start = first[number].datetime_start
            trial.user_attrs = readable_attributes(recorded, state(recorded))
            trials.append(trial)
        return trials, history


BaseStorage.register(DashboardView)


def open_view(study: StudyFolder) -> DashboardView:
    """Open the record of a study for the dashboard. Raises the errors of `StudyFolder.ledger`."""
    study.ledger(write=False).close()
    storage, journal = open_storage(study.storage_location, write=False)
    names = [each.study_name for each in storage.get_all_studies()]
    # A journal has only one study, whatever the name of its folder is.
    name = names[0] if journal is not None and len(names) == 1 else study.recorded_name
    return DashboardView(storage, storage.get_study_id_from_name(name), study)


def readable_attributes(trial: Trial, state: State) -> dict[str, Any]:
    """What the dashboard shows of a trial beside its parameters and its curve, under the names of hpo's tables."""
    shown: dict[str, Any] = {"state": state.value, "epochs": trial.epoch}
    if trial.best is not None:
        shown |= serialization.stopping_epoch_attributes(trial.best)
    if trial.reports:
        shown["seconds"] = round(sum(report.seconds for report in trial.reports), 3)
        shown["device"] = trial.reports[-1].device
        parts = trial.reports[-1].micro_batches
        shown |= {} if parts is None else {"micro_batches": parts}
    shown |= {**trial.peaks, "bracket": trial.bracket, **trial.notes}
    return shown if trial.crash is None else {**shown, "error": trial.crash.summary}


def _readable_study(study: FrozenStudy) -> FrozenStudy:
    """A study whose attributes are only those that a person can read: why its search ended."""
    shown: Mapping[str, Any] = study.user_attrs
    attributes = {key: value for key, value in shown.items() if key not in _INTERNAL and not key.startswith("retry:")}
    if shown.get("finished"):
        attributes["ended"] = shown["finished"]
    readable = copy(study)
    readable.user_attrs = attributes
    return readable

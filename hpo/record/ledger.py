"""The Ledger, which records the events of a study in an Optuna study, whatever the backend is.

Each trial is an Optuna trial. Each event is one user attribute of its trial and is written in one operation. In a
database, what the dashboard shows of an event is written in the same transaction. The keys are `suggestion:27`,
`report:3`, `settled:3` and `crash`, where the number is an epoch (for a suggestion, its `until`). The value contains
the number `n` of the event, which gives the order of all events of the study.

These attributes are the record. The dashboard also shows intermediate values, states, the value of each trial, and the
validation metrics of the stopping epoch of each finished trial, as attributes such as `val_f1`. They are computed from
the record, and repaired from it when a study is opened after a crash.

A paused trial stays RUNNING in Optuna, a stopped one is PRUNED, a complete one is COMPLETE, and one that crashed or
does not fit into memory is FAIL. Optuna never changes a finished trial. So a trial that continues after its study was
closed is copied to a new Optuna trial with the same user attribute `trial`, and only the newest copy counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import TrialState, create_trial

from hpo.record import serialization
from hpo.record.history import Decisions, History, Retry, State
from hpo.record.journal import FastJournalStorage, Journal
from hpo.record.outages import Outages
from hpo.record.storage import close_storage, storage_errors
from hpo.record.stored_trials import read_stored_trials
from hpo.record.trial_writer import TrialChange
from hpo.record.writers import writer
from hpo.space import SearchSpace
from hpo.trial import Crash, Decision, Report, Suggestion

_STATES = {
    State.COMPLETE: TrialState.COMPLETE,
    State.STOPPED: TrialState.PRUNED,
    State.CRASHED: TrialState.FAIL,
    State.INFEASIBLE: TrialState.FAIL,
}


class Ledger:
    """The record of one study, in a journal file or in any other Optuna storage. It has only one writer at a time."""

    def __init__(self, storage: BaseStorage, name: str, space: SearchSpace, journal: Journal | None = None) -> None:
        self._storage = storage
        self._journal = journal
        self.outages = Outages()
        """What happens if the database does not answer: an error, until `tolerate` is called."""
        self._writer = writer(storage, self.outages)
        self.space = space
        self._study_id = storage.get_study_id_from_name(name)
        self._distributions = {key: serialization.distribution(domain) for key, domain in space.domains.items()}
        self._n_events = 0
        self._recorded_seconds = 0.0
        self.times: list[float] = []
        """The time of each event that was on record at the opening: seconds of search, in the order of the events."""
        self.history = History(space.fidelity.high, space.metric)
        self._read_events()
        self._opened = time.monotonic()
        self._simulated_time: Callable[[], float] | None = None

    # Recording ------------------------------------------------------------------------------------

    def suggest(self, suggestion: Suggestion) -> None:
        """Record that a trial starts or continues."""
        with storage_errors():
            key, value = f"suggestion:{suggestion.until}", self._numbered(serialization.from_suggestion(suggestion))
            if suggestion.trial not in self._optuna_ids:
                self._create_trial(suggestion, key, value)
            else:
                self._writer.change([self._change(suggestion.trial, key, value)])
            self.history.append(suggestion)

    def record(self, event: Report | Crash) -> None:
        """Record an epoch or a crash. This is done before the backend is told of it."""
        with storage_errors():
            if isinstance(event, Report):
                key, content = f"report:{event.fidelity}", serialization.from_report(event)
                shown = {event.fidelity: self.history.objective_of(event)}
            else:
                key, content, shown = "crash", {"kind": event.kind, "error": event.error}, {}
            self._writer.change([self._change(event.trial, key, self._numbered(content), shown)])
            self.history.append(event)

    def retry(self, event: Retry) -> None:
        """Record that crashed trials are tried again, as an attribute of the study."""
        with storage_errors():
            value = self._numbered({"trials": list(event.trials)})
            self._writer.set_study_attribute(self._study_id, f"retry:{self._n_events}", value)
            self.history.append(event)

    def settle(self, event: Report | Crash, decisions: Mapping[int, Decision]) -> None:
        """Record the backend's decisions on an event, and finish the Optuna trials of the trials that ended.

        Trials that continue are not recorded.
        """
        not_continued = {number: fate for number, fate in decisions.items() if fate is not Decision.CONTINUE}
        changes = []
        with storage_errors():
            if not_continued:
                settled = Decisions(event.trial, serialization.fidelity(event), not_continued)
                value = self._numbered({"decisions": {str(each): fate.value for each, fate in not_continued.items()}})
                changes.append(self._change(event.trial, f"settled:{settled.fidelity}", value))
                self.history.append(settled)
            trials = (self.history.trials[number] for number in {event.trial, *not_continued})
            self._finish({trial.number: _STATES.get(trial.state) for trial in trials}, changes)

    def close_unfinished(self, reason: str) -> None:
        """Record why the study ended, and mark paused and interrupted trials as pruned in Optuna.

        These trials can continue if the study is resumed.
        """
        with storage_errors():
            self._finish(dict.fromkeys(self.history.trials, TrialState.PRUNED))
            self._writer.set_study_attribute(self._study_id, "finished", reason)

    def reopen(self, folder: Path) -> None:
        """Record that the study is being searched, for the first time or again, and in which folder."""
        with storage_errors():
            self._writer.set_study_attribute(self._study_id, "finished", None)
            if self._journal is None:
                self._writer.set_study_attribute(self._study_id, "folder", str(folder.absolute()))

    @property
    def folder(self) -> Path | None:
        """The folder that the study was last searched in. A journal, which lies in the folder, does not record it."""
        folder = self._attributes().get("folder")
        return None if folder is None else Path(folder)

    @property
    def finished(self) -> str | None:
        """Why the study ended. None while it is being searched, and if it was interrupted."""
        value: str | None = self._attributes().get("finished")
        return value

    @property
    def elapsed(self) -> float:
        """The wall time of the search in seconds: that on record, over all runs, plus this run so far.

        If the time is simulated, it is the simulated time.
        """
        if self._simulated_time is not None:
            return self._simulated_time()
        return self._recorded_seconds + time.monotonic() - self._opened

    @property
    def is_simulated(self) -> bool:
        """Whether the time of this run is simulated."""
        return self._simulated_time is not None

    def simulate_time(self, now: Callable[[], float]) -> None:
        """Take the time of the search from `now`, in seconds, instead of from the clock."""
        self._simulated_time = now

    @property
    def recorded(self) -> float:
        """The wall time of the search that is on record, in seconds, or its simulated time."""
        return self._recorded_seconds

    @property
    def identity(self) -> dict[str, Any]:
        """The `StudyFolder.identity` that the study was begun with, such as the digest of its space and its seed."""
        identity: dict[str, Any] = self._attributes().get("origin", {})
        return identity

    def close(self) -> None:
        """Release the storage. Raises a MachineError if the last events cannot be synced to the disk."""
        with storage_errors():
            close_storage(self._storage)
            if self._journal is not None:
                self._journal.close()

    # Writing --------------------------------------------------------------------------------------

    def _numbered(self, content: dict[str, Any]) -> dict[str, Any]:
        """Add the number and the time of a new event to its content."""
        self._n_events += 1
        return {"n": self._n_events, "at": round(self.elapsed, 3), **content}

    def _create_trial(self, suggestion: Suggestion, key: str, value: dict[str, Any]) -> None:
        trial = create_trial(
            state=TrialState.RUNNING,
            params=serialization.parameters(suggestion.config),
            distributions={name: self._distributions[name] for name in suggestion.config},
            user_attrs={**suggestion.notes, "trial": suggestion.trial, "bracket": suggestion.bracket, key: value},
        )
        self._optuna_ids[suggestion.trial] = self._writer.create(self._study_id, trial, after=-1)

    def _change(
        self, number: int, key: str, value: object, intermediate_values: Mapping[int, float] | None = None
    ) -> TrialChange:
        """The change of a trial that adds an event."""
        if number in self._finished:
            self._copy_to_new_trial(number)
        return TrialChange(self._optuna_ids[number], {key: value}, intermediate_values or {})

    def _copy_to_new_trial(self, number: int) -> None:
        """Copy a trial to a new Optuna trial, because its Optuna trial is finished and cannot be changed."""
        old_id = self._optuna_ids[number]
        old = self.outages.run(lambda: self._storage.get_trial(old_id))
        new = create_trial(
            state=TrialState.RUNNING,
            params=old.params,
            distributions=old.distributions,
            user_attrs=old.user_attrs,
            intermediate_values=old.intermediate_values,
        )
        self._optuna_ids[number] = self._writer.create(self._study_id, new, after=old_id)
        self._finished.discard(number)

    def _finish(self, states: Mapping[int, TrialState | None], changes: Sequence[TrialChange] = ()) -> None:
        """Make changes, and finish the Optuna trials of trials with their states.

        A trial whose state is None, or that is finished already, is left as it is.
        """
        ends = {number: state for number, state in states.items() if state is not None and number not in self._finished}
        self._writer.change([*changes, *(self._end(number, state) for number, state in ends.items())])
        self._finished.update(ends)
        for number in ends:
            self._forget(number)

    def _end(self, number: int, state: TrialState) -> TrialChange:
        """The change that finishes the Optuna trial of a trial."""
        trial = self.history.trials[number]
        has_value = bool(trial.reports) and state is not TrialState.FAIL
        if not has_value and state is TrialState.COMPLETE:
            raise AssertionError(f"trial {number} is complete without a report")
        shown = {}
        if has_value and trial.best is not None:
            shown = {**serialization.stopping_epoch_attributes(trial.best), **trial.peaks}
        return TrialChange(self._optuna_ids[number], shown, {}, state, trial.loss if has_value else None)

    def _forget(self, number: int) -> None:
        """Free the memory of the Optuna trial of a trial that will never go on. Its events are in the history."""
        if self.history.trials[number].state in _STATES and isinstance(self._storage, FastJournalStorage):
            self._storage.forget(self._optuna_ids[number])

    # Reading --------------------------------------------------------------------------------------

    def _attributes(self) -> dict[str, Any]:
        """The user attributes of the Optuna study."""
        with storage_errors():
            return self.outages.run(lambda: self._storage.get_study_user_attrs(self._study_id))

    def _read_events(self) -> None:
        """Build the history from the storage."""
        stored = read_stored_trials(self._storage, self._study_id)
        self._optuna_ids = stored.optuna_ids
        """The id of the newest Optuna trial of each trial."""
        self._finished = stored.finished
        """The trials whose newest Optuna trial is finished."""
        for n, seconds, event in stored.events:
            self.history.append(event)
            self.times.append(seconds)
            self._n_events, self._recorded_seconds = n, seconds

    def repair(self) -> None:
        """Write the intermediate values and states that are missing because the process was killed in between."""
        last = self.history.events[-1] if self.history.events else None
        # The decisions on the last event may not be on record. Then the replay records them and finishes this trial.
        undecided = last.trial if isinstance(last, Report | Crash) else None
        changes, states = [], {}
        with storage_errors():
            for number in self._finished:
                self._forget(number)
            for frozen in self._storage.get_all_trials(self._study_id, deepcopy=False, states=(TrialState.RUNNING,)):
                number = frozen.user_attrs["trial"]
                trial = self.history.trials[number]
                reported = {report.fidelity: self.history.objective_of(report) for report in trial.reports}
                missing = {epoch: value for epoch, value in reported.items() if epoch not in frozen.intermediate_values}
                if missing:
                    changes.append(TrialChange(self._optuna_ids[number], {}, missing))
                if number != undecided:
                    states[number] = _STATES.get(trial.state)
            self._finish(states, changes)

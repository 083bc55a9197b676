"""The ledger: every backend's trial as an Optuna trial, and the one writer of it.

Each event of a study is one user attribute of its trial, written in one operation and numbered in the
order in which it happened: `suggestion:27`, `report:3`, `settled:3`, `crash`. These attributes are the
record. What the dashboard shows beside them (intermediate values, states, the value) follows from them,
and is mended from them when a study is opened after a crash.

PAUSE stays RUNNING, STOP is PRUNED, full fidelity is COMPLETE, Crash is FAIL. Optuna never changes a
finished trial: one that goes on after its study was closed is copied into a new Optuna trial with the
same attribute `trial`, and the newest copy counts.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.errors import StudyError
from hpo.record import serialization
from hpo.record.history import Event, History, Settled, State
from hpo.record.journal import Journal
from hpo.record.storage import SQLITE, open_storage, storage_errors
from hpo.space import SearchSpace
from hpo.trial import Crash, Decision, Report, Suggestion

_STATES = {State.COMPLETE: TrialState.COMPLETE, State.STOPPED: TrialState.PRUNED, State.CRASHED: TrialState.FAIL}


class Ledger:
    """The record of one study, in a journal file or in any other Optuna storage."""

    def __init__(self, storage: BaseStorage, name: str, space: SearchSpace, journal: Journal | None = None) -> None:
        self._storage = storage
        self._journal = journal
        self.space = space
        self._study = storage.get_study_id_from_name(name)
        self._distributions = {key: serialization.distribution(domain) for key, domain in space.domains.items()}
        self._ids: dict[int, int] = {}
        self._finished: set[int] = set()
        self._sequence = 0
        self._elapsed = 0.0
        self.history = History(space.fidelity.high)
        self._read()
        self._opened = time.monotonic()

    # What happened --------------------------------------------------------------------------------

    def suggest(self, suggestion: Suggestion) -> None:
        """Record that a trial starts, or goes on."""
        with storage_errors():
            key, value = f"suggestion:{suggestion.until}", self._stamp(serialization.from_suggestion(suggestion))
            if suggestion.trial not in self._ids:
                self._create(suggestion, key, value)
            else:
                self._set(suggestion.trial, key, value)
            self.history.append(suggestion)

    def record(self, event: Report | Crash) -> None:
        """Record an epoch or a crash, before the backend is told of it."""
        with storage_errors():
            if isinstance(event, Report):
                self._set(event.trial, f"report:{event.fidelity}", self._stamp(serialization.from_report(event)))
                self._show(event)
            else:
                self._set(event.trial, "crash", self._stamp({"kind": event.kind, "error": event.error}))
            self.history.append(event)

    def settle(self, event: Report | Crash, decisions: Mapping[int, Decision]) -> None:
        """Record what the backend decided on an event, and end the trials that it ended."""
        ended = {number: decision for number, decision in decisions.items() if decision is not Decision.CONTINUE}
        with storage_errors():
            if ended:
                settled = Settled(event.trial, _fidelity(event), ended)
                fates = {str(number): decision.value for number, decision in ended.items()}
                self._set(event.trial, f"settled:{settled.fidelity}", self._stamp({"decisions": fates}))
                self.history.append(settled)
            for number in {event.trial, *ended}:
                self._finish(number, _STATES.get(self.history.trials[number].state))

    def close_unfinished(self, reason: str) -> None:
        """End the study: trials that wait or were cut short close as pruned; they may be taken up again."""
        with storage_errors():
            for number in self.history.trials:
                self._finish(number, TrialState.PRUNED)
            self._storage.set_study_user_attr(self._study, "finished", reason)

    def reopen(self) -> None:
        """Say that the study is being searched (again)."""
        with storage_errors():
            self._storage.set_study_user_attr(self._study, "finished", None)

    @property
    def finished(self) -> str | None:
        """Why the study ended; None while it is searched or can be resumed."""
        value: str | None = self._storage.get_study_user_attrs(self._study).get("finished")
        return value

    @property
    def elapsed(self) -> float:
        """Seconds of search on record, over all runs, and of this run so far."""
        return self._elapsed + time.monotonic() - self._opened

    @property
    def recorded(self) -> float:
        """Seconds of search on record."""
        return self._elapsed

    @property
    def origin(self) -> dict[str, Any]:
        """What the study was begun with: the digest of its space, its backend and its seed."""
        origin: dict[str, Any] = self._storage.get_study_user_attrs(self._study).get("origin", {})
        return origin

    def close(self) -> None:
        """Release the storage."""
        self._storage.remove_session()
        if self._journal is not None:
            self._journal.close()

    # Writing --------------------------------------------------------------------------------------

    def _stamp(self, content: dict[str, Any]) -> dict[str, Any]:
        self._sequence += 1
        return {"n": self._sequence, "at": round(self.elapsed, 3), **content}

    def _create(self, suggestion: Suggestion, key: str, value: dict[str, Any]) -> None:
        trial = create_trial(
            state=TrialState.RUNNING,
            params=dict(suggestion.config),
            distributions={name: self._distributions[name] for name in suggestion.config},
            user_attrs={**suggestion.notes, "trial": suggestion.trial, "bracket": suggestion.bracket, key: value},
        )
        self._ids[suggestion.trial] = self._storage.create_new_trial(self._study, trial)

    def _set(self, number: int, key: str, value: object) -> None:
        if number in self._finished:
            self._copy(number)
        self._storage.set_trial_user_attr(self._ids[number], key, value)

    def _copy(self, number: int) -> None:
        """Take up a trial that Optuna holds for finished, as a new Optuna trial."""
        old = self._storage.get_trial(self._ids[number])
        new = create_trial(
            state=TrialState.RUNNING,
            params=old.params,
            distributions=old.distributions,
            user_attrs=old.user_attrs,
            intermediate_values=old.intermediate_values,
        )
        self._ids[number] = self._storage.create_new_trial(self._study, new)
        self._finished.discard(number)

    def _show(self, report: Report) -> None:
        value = report.metrics.get(self.space.objective, report.loss)
        self._storage.set_trial_intermediate_value(self._ids[report.trial], report.fidelity, value)

    def _finish(self, number: int, state: TrialState | None) -> None:
        if state is None or number in self._finished:
            return
        trial = self.history.trials[number]
        values = [trial.loss] if trial.reports and state is not TrialState.FAIL else None
        if values is None and state is TrialState.COMPLETE:
            raise AssertionError(f"trial {number} is complete without a report")
        self._storage.set_trial_state_values(self._ids[number], state, values)
        self._finished.add(number)

    # Reading --------------------------------------------------------------------------------------

    def _read(self) -> None:
        events: list[tuple[int, float, Event]] = []
        for frozen in self._frozen().values():
            number = frozen.user_attrs["trial"]
            for key, value in frozen.user_attrs.items():
                event = serialization.to_event(number, key, value)
                if event is not None:
                    events.append((value["n"], value["at"], event))
        for sequence, at, event in sorted(events, key=lambda item: item[0]):
            self.history.append(event)
            self._sequence, self._elapsed = sequence, at

    def _frozen(self) -> dict[int, FrozenTrial]:
        """The newest Optuna trial of each trial."""
        newest: dict[int, FrozenTrial] = {}
        for frozen in self._storage.get_all_trials(self._study, deepcopy=False):
            number = frozen.user_attrs.get("trial")
            if number is None:
                raise StudyError(f"trial {frozen.number} of the storage was not written by hpo: use a study of its own")
            newest[number] = frozen
        for number, frozen in newest.items():
            self._ids[number] = self._storage.get_trial_id_from_study_id_trial_number(self._study, frozen.number)
            if frozen.state.is_finished():
                self._finished.add(number)
        return newest

    def mend(self) -> None:
        """Write what a kill between two operations left out: intermediate values and states."""
        last = self.history.events[-1] if self.history.events else None
        # The decisions on the last event may not be on record: replay brings them, and ends its trial.
        undecided = last.trial if isinstance(last, Report | Crash) else None
        with storage_errors():
            for number, frozen in self._frozen().items():
                trial = self.history.trials[number]
                if frozen.state.is_finished():
                    continue
                for report in trial.reports:
                    if report.fidelity not in frozen.intermediate_values:
                        self._show(report)
                if number != undecided:
                    self._finish(number, _STATES.get(trial.state))


def create_ledger(where: Path | str, name: str, space: SearchSpace, origin: dict[str, Any]) -> Ledger:
    """Begin the record of a study, with what it is begun with.

    `where` is the journal file, or the URL of an Optuna storage. Raises Mistake for a URL that names no
    storage, StudyError where a study of that name is recorded there, MachineError where it fails.
    """
    with storage_errors():
        storage, journal = open_storage(where, write=True)
        if name in {study.study_name for study in storage.get_all_studies()}:
            ledger = Ledger(storage, name, space, journal)
            # A journal lies in the study's own folder: a kill may have come before the study had its study.yaml.
            if ledger.history.events or journal is None:
                ledger.close()
                raise StudyError(f"{where}: holds a study {name!r} already: choose another name with --study")
            storage.delete_study(storage.get_study_id_from_name(name))
        study = storage.create_new_study([StudyDirection.MINIMIZE], name)
        storage.set_study_user_attr(study, "origin", origin)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            optuna.load_study(study_name=name, storage=storage).set_metric_names([space.objective])
        return Ledger(storage, name, space, journal)


def open_ledger(where: Path | str, name: str, space: SearchSpace, *, write: bool) -> Ledger:
    """Open the record of a study that exists; with `write`, mend what a kill left half done.

    Raises as `create_ledger` does, and StudyError where there is no such record.
    """
    with storage_errors():
        file = Path(where.removeprefix(SQLITE)) if isinstance(where, str) and where.startswith(SQLITE) else where
        if isinstance(file, Path) and not file.exists():
            raise StudyError(
                f"{where}: the record of study {name!r} is not here, it stays where the study was made; "
                "what it found stands in the tables beside study.yaml"
            )
        storage, journal = open_storage(where, write=write)
        if name not in {study.study_name for study in storage.get_all_studies()}:
            raise StudyError(f"{where}: holds no study {name!r}")
        ledger = Ledger(storage, name, space, journal)
        if write:
            ledger.mend()
        return ledger


def _fidelity(event: Report | Crash) -> int:
    return event.fidelity if isinstance(event, Report) else 0

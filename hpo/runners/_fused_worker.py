"""The FusedWorker, which trains many trials in rounds of one epoch, and the main loop of its process.

Trials with equal keys train together, as one batched program (`trainables/fused/group.py`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.devices import Slot
from hpo.errors import HpoError, MachineError, TaskError
from hpo.runners._runner import crash
from hpo.training.builder import Job
from hpo.training.trial_run import TrialRun
from hpo.training.worker import Worker
from hpo.trial import Crash, Report, Suggestion

if TYPE_CHECKING:
    from trainables.fused import Group


class DeviceLost(Exception):
    """A CUDA error of one of several trials made the device unusable for the process. Which trial failed is unknown."""


@dataclass
class _Member:
    """A trial that is built and ready to train."""

    suggestion: Suggestion
    after: int
    """The last epoch that was reported, or was on record when the trial started."""
    trial_run: TrialRun
    reports: list[Report]
    """The reports of epochs that are trained but not reported yet."""
    key: Hashable | None
    """Trials with equal keys train together. None if the trial trains alone."""

    @property
    def trial(self) -> int:
        return self.suggestion.trial


class FusedWorker:
    """Trains trials in rounds of one epoch.

    Errors of a trial become a Crash. A MachineError or a TaskError is raised, because it is not the fault of a trial.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._not_built: dict[int, tuple[Suggestion, int, int | None]] = {}
        self._members: dict[int, _Member] = {}
        self._groups: dict[Hashable, Group] = {}

    def start(self, suggestion: Suggestion, after: int, micro_batches: int | None = None) -> None:
        """Add a trial, whose last epoch on record is `after`. It is built in its first round.

        `micro_batches` is that of `Worker.begin`.
        """
        self._not_built[suggestion.trial] = suggestion, after, micro_batches

    def drop(self, trial: int) -> None:
        """Remove a trial. Its checkpoints stay."""
        self._not_built.pop(trial, None)
        self._members.pop(trial, None)
        keys = {member.key for member in self._members.values()}
        self._groups = {key: group for key, group in self._groups.items() if key in keys}

    def round(self, trials: Collection[int]) -> list[Report | Crash]:
        """Train one epoch of each of these trials, and return their events, sorted by trial number.

        Epochs that are on record already are trained without a report. If this leaves no events, further epochs are
        trained. Raises DeviceLost if a CUDA error of one of several trials made the device unusable.
        """
        events: list[Report | Crash] = []
        self._worker.reset_peaks()  # all trials of a process share its memory, so they report the same peaks
        while not events:
            members = [member for trial in sorted(trials) if (member := self._built(trial, events)) is not None]
            to_train = [member for member in members if not self._report_untrained(member, events)]
            for key in dict.fromkeys(member.key for member in to_train):
                with_key = [member for member in to_train if member.key == key]
                if key is None:
                    for member in with_key:
                        self._train_alone(member, events, len(trials))
                else:
                    self._train_together(with_key, events)
        return sorted(events, key=lambda event: event.trial)

    def _built(self, trial: int, events: list[Report | Crash]) -> _Member | None:
        """Return the member of a trial, which is built first if it is new. Returns None if building it crashed."""
        if trial in self._not_built:
            suggestion, after, micro_batches = self._not_built.pop(trial)
            try:
                trial_run = self._worker.begin(suggestion, after=after, micro_batches=micro_batches)
                key = self._worker.key(trial_run)
                if key is not None:
                    self._groups.setdefault(key, self._worker.group()).admit(trial_run.trainable)  # type: ignore[arg-type]
            except (MachineError, TaskError):
                raise
            except Exception as error:
                _check_device(error, len(self._members) + 1)
                events.append(crash(trial, error))
                return None
            self._members[trial] = _Member(suggestion, after, trial_run, trial_run.reports(after), key)
        return self._members[trial]

    def _report_untrained(self, member: _Member, events: list[Report | Crash]) -> bool:
        """Add the event of a member that needs no training in this round. Returns False if it must train.

        The event is the report of an epoch that is trained already, or a Crash if no epoch is left to train.
        """
        if member.reports:
            events.append(member.reports.pop(0))
            member.after += 1
        elif member.trial_run.goes_on:
            return False
        else:
            try:
                member.trial_run.check(member.after)
                raise HpoError(f"the trial has ended, and epoch {member.after} of it is reported")
            except HpoError as error:
                events.append(crash(member.trial, error))
        return True

    def _train_together(self, members: Sequence[_Member], events: list[Report | Crash]) -> None:
        started = time.perf_counter()
        try:
            group = self._groups[members[0].key]
            metrics = group.step([member.trial_run.trainable for member in members])  # type: ignore[misc]
        except Exception as error:
            _check_device(error, len(members))
            self._train_apart(members, events)
            return
        seconds = (time.perf_counter() - started) / len(members)
        for member, member_metrics in zip(members, metrics, strict=True):
            self._report_trained(member, member_metrics, seconds, events)

    def _train_apart(self, members: Sequence[_Member], events: list[Report | Crash]) -> None:
        """Train members alone in this and all later rounds, after training them together failed.

        They start from their checkpoints, because the failure may have left them in the middle of an epoch.
        """
        for member in members:
            self.drop(member.trial)
        for member in members:
            self._not_built[member.trial] = member.suggestion, member.after, None
            rebuilt = self._built(member.trial, events)
            if rebuilt is not None:
                rebuilt.reports, rebuilt.key = [], None
                self._train_alone(rebuilt, events, len(members))

    def _train_alone(self, member: _Member, events: list[Report | Crash], n_trials: int) -> None:
        started = time.perf_counter()
        try:
            metrics = member.trial_run.trainable.step()
        except (MachineError, TaskError):
            raise
        except Exception as error:
            _check_device(error, n_trials)
            events.append(crash(member.trial, error))
            return
        self._report_trained(member, metrics, time.perf_counter() - started, events)

    def _report_trained(
        self, member: _Member, metrics: Mapping[str, float], seconds: float, events: list[Report | Crash]
    ) -> None:
        try:
            report = member.trial_run.add_epoch(metrics, seconds, self._worker.peaks())
        except (MachineError, TaskError):
            raise
        except Exception as error:
            events.append(crash(member.trial, error))
            return
        if report.fidelity > member.after:
            member.after = report.fidelity
            events.append(report)


def _check_device(error: Exception, n_trials: int) -> None:
    """Raise DeviceLost if `error` is a CUDA error and there are several trials in the process."""
    if n_trials > 1 and "CUDA error" in str(error):
        raise DeviceLost from error


def serve(pipe: connection.Connection, job: Job, checkpoints: Path, slot: Slot) -> None:
    """The main loop of a worker process: it trains one round after another."""
    fused_worker = FusedWorker(Worker(job, checkpoints, slot.device))
    while True:
        dropped, started, trials = pipe.recv()
        for trial in dropped:
            fused_worker.drop(trial)
        for suggestion, after, micro_batches in started:
            fused_worker.start(suggestion, after, micro_batches)
        answer: list[Report | Crash] | MachineError | TaskError
        try:
            answer = fused_worker.round(trials)
        except (MachineError, TaskError) as error:
            answer = error
        except DeviceLost:
            os._exit(1)  # the runner replaces this process and finds the trial that fails
        pipe.send(answer)

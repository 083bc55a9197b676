"""A team: the trials of one worker that train in rounds, an epoch each, those that can as one program."""

from __future__ import annotations

import time
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo.errors import HpoError, MachineError, TaskError
from hpo.runners._runner import crash
from hpo.training.trial_run import TrialRun
from hpo.training.worker import Worker
from hpo.trial import Crash, Report, Suggestion

if TYPE_CHECKING:
    from trainables.fused import Group


class DeviceLost(Exception):
    """The device context of the process is lost to an error of one of several trials: nobody knows of which."""


@dataclass
class _Member:
    """A trial of the team."""

    suggestion: Suggestion
    after: int
    """The last epoch that was handed on."""
    course: TrialRun
    reports: list[Report]
    """Of epochs that are trained, but were not handed on."""
    key: Hashable | None
    """None if it is stepped alone."""

    @property
    def trial(self) -> int:
        return self.suggestion.trial


class FusedWorker:
    """Trains trials in rounds. A MachineError and a TaskError are raised: they are no fault of a trial's."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._waiting: dict[int, tuple[Suggestion, int]] = {}
        self._members: dict[int, _Member] = {}
        self._groups: dict[Hashable, Group] = {}

    def start(self, suggestion: Suggestion, after: int) -> None:
        """Take a trial in, which is built in its first round."""
        self._waiting[suggestion.trial] = suggestion, after

    def drop(self, trial: int) -> None:
        """Let a trial go; it stays where its last checkpoint is."""
        self._waiting.pop(trial, None)
        self._members.pop(trial, None)
        keys = {member.key for member in self._members.values()}
        self._groups = {key: group for key, group in self._groups.items() if key in keys}

    def round(self, trials: Collection[int]) -> list[Report | Crash]:
        """An epoch of each of these trials; what each reports, by number of trial.

        It takes several epochs where none of them comes to report one, as they are on record.
        """
        events: list[Report | Crash] = []
        while not events:
            members = [member for trial in sorted(trials) if (member := self._begun(trial, events)) is not None]
            stepped = [member for member in members if not self._repeat(member, events)]
            for key in dict.fromkeys(member.key for member in stepped):
                alike = [member for member in stepped if member.key == key]
                if key is None:
                    for member in alike:
                        self._alone(member, events, len(trials))
                else:
                    self._together(alike, events)
        return sorted(events, key=lambda event: event.trial)

    def _begun(self, trial: int, events: list[Report | Crash]) -> _Member | None:
        """The member, which is built first where it is new; None where that crashed."""
        if trial in self._waiting:
            suggestion, after = self._waiting.pop(trial)
            try:
                course = self._worker.begin(suggestion)
                key = self._worker.key(course)
                if key is not None:
                    self._groups.setdefault(key, self._worker.group()).admit(course.trainable)  # type: ignore[arg-type]
            except (MachineError, TaskError):
                raise
            except Exception as error:
                _check_device(error, len(self._members) + 1)
                events.append(crash(trial, error))
                return None
            self._members[trial] = _Member(suggestion, after, course, course.reports(after), key)
        return self._members[trial]

    def _repeat(self, member: _Member, events: list[Report | Crash]) -> bool:
        """Report an epoch that is trained already, or that there is none left to train; whether it did."""
        if member.reports:
            events.append(member.reports.pop(0))
            member.after += 1
        elif member.course.goes_on:
            return False
        else:
            try:
                member.course.check(member.after)
                raise HpoError(f"the trial has ended, and epoch {member.after} of it is reported")
            except HpoError as error:
                events.append(crash(member.trial, error))
        return True

    def _together(self, members: Sequence[_Member], events: list[Report | Crash]) -> None:
        started = time.perf_counter()
        try:
            group = self._groups[members[0].key]
            metrics = group.step([member.course.trainable for member in members])  # type: ignore[misc]
        except Exception as error:
            _check_device(error, len(members))
            self._part(members, events)
            return
        seconds = (time.perf_counter() - started) / len(members)
        for member, each in zip(members, metrics, strict=True):
            self._take(member, each, seconds, events)

    def _part(self, members: Sequence[_Member], events: list[Report | Crash]) -> None:
        """Step trials alone from now on, from their checkpoints, as a step of all failed amid an epoch."""
        for member in members:
            self.drop(member.trial)
        for member in members:
            self._waiting[member.trial] = member.suggestion, member.after
            begun = self._begun(member.trial, events)
            if begun is not None:
                begun.reports, begun.key = [], None
                self._alone(begun, events, len(members))

    def _alone(self, member: _Member, events: list[Report | Crash], n_trials: int) -> None:
        started = time.perf_counter()
        try:
            metrics = member.course.trainable.step()
        except (MachineError, TaskError):
            raise
        except Exception as error:
            _check_device(error, n_trials)
            events.append(crash(member.trial, error))
            return
        self._take(member, metrics, time.perf_counter() - started, events)

    def _take(
        self, member: _Member, metrics: Mapping[str, float], seconds: float, events: list[Report | Crash]
    ) -> None:
        try:
            report = member.course.take(metrics, seconds)
        except (MachineError, TaskError):
            raise
        except Exception as error:
            events.append(crash(member.trial, error))
            return
        if report.fidelity > member.after:
            member.after = report.fidelity
            events.append(report)


def _check_device(error: Exception, n_trials: int) -> None:
    if n_trials > 1 and "CUDA error" in str(error):
        raise DeviceLost from error

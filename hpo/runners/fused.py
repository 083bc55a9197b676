"""The fused runner (floor 3): one long-lived worker process a device, each with many trials, which train in rounds.

In a round each trial of a worker trains an epoch: those that differ only in numbers and train but a small head as
one program (`trainables/fused.py`), any others one after another. Then the worker waits for all decisions. A
worker that dies is replaced and its trials go on from their checkpoints; if it dies twice without a new
epoch, they train one by one until each has a new one, so that only the one that is to blame crashes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path

from hpo.builder import Job
from hpo.checkpoints import recover
from hpo.errors import HpoError, MachineError, TaskError
from hpo.runners import _slots
from hpo.runners._process import Process, end
from hpo.runners._runner import goes_on, tidy
from hpo.runners._slots import Slot
from hpo.runners._team import DeviceLost, Team
from hpo.trial import Crash, Decision, Report, Suggestion
from hpo.worker import Worker

MAX_DEATHS = 2
"""Deaths of a worker, without a new epoch between them, after which its trials train one by one."""
N_TRIALS = {"cpu": 8, "cuda": 16}
"""Trials at once on a device, where nothing is said. More are faster still, but begin before a backend that learns
from what came before has learned anything."""


def build(job: Job, checkpoints: Path, *, devices: str = "auto", slots: int | None = None) -> Fused:
    """A runner with so many slots on each of `devices`; a worker starts with the first trial on its device."""
    recover(checkpoints)
    _slots.plan(devices, slots)  # names what is wrong
    return Fused(job, checkpoints, _slots.plan(devices, 1), slots)


@dataclass
class _Running:
    """A trial on a seat."""

    suggestion: Suggestion
    after: int
    """The last epoch of it that was handed on."""
    event: Report | Crash | None = None
    """Its last event."""
    waits: bool = False
    """Whether it waits for the decision on that event."""


@dataclass
class _Seat:
    """A device, the process that works on it, and the trials that it trains."""

    process: Process
    trials: dict[int, _Running] = field(default_factory=dict)
    started: list[tuple[Suggestion, int]] = field(default_factory=list)
    """Trials that the process is not told of yet."""
    dropped: list[int] = field(default_factory=list)
    """Trials that the process still holds, and need not."""
    at_work: list[int] = field(default_factory=list)
    """The trials of the round that is under way."""
    deaths: int = 0
    suspects: list[int] = field(default_factory=list)
    """Trials that must go one by one."""


class Fused:
    """Trains many trials on each device at once."""

    def __init__(self, job: Job, checkpoints: Path, devices: list[Slot], slots: int | None) -> None:
        self._job, self._checkpoints, self._devices = job, checkpoints, devices
        self._n_slots = slots or N_TRIALS[devices[0].device]
        self._seats: list[_Seat] = []
        """The devices that have been used so far, in their order."""

    def free(self) -> int:
        return self._n_slots * len(self._devices) - sum(len(seat.trials) for seat in self._seats)

    def start(self, suggestion: Suggestion, *, after: int) -> None:
        if len(self._seats) < len(self._devices):
            slot = self._devices[len(self._seats)]
            if all(seat.trials for seat in self._seats):
                self._seats.append(_Seat(Process(serve, (self._job, self._checkpoints), slot)))
        seat = min(self._seats, key=lambda seat: len(seat.trials))
        if not seat.trials and not seat.process.is_alive:  # it died idle, which is no fault of this trial's
            seat.process.replace()
        seat.trials[suggestion.trial] = _Running(suggestion, after)
        seat.started.append((suggestion, after))

    def events(self) -> Iterable[Report | Crash]:
        events: list[Report | Crash] = []
        while not events:
            for seat in self._seats:
                self._begin_round(seat)
            busy = {seat.process.pipe: seat for seat in self._seats if seat.at_work}
            if not busy:
                raise HpoError("no trial is running, so nothing can happen")
            for pipe in connection.wait(busy):
                events += self._receive(busy[pipe])  # type: ignore[index]
        return events

    def settle(self, trial: int, decision: Decision) -> None:
        high = self._job.space.fidelity.high
        seat = next((seat for seat in self._seats if trial in seat.trials), None)
        if seat is None:
            tidy(self._checkpoints, high, trial, None, decision)
            return
        running = seat.trials[trial]
        running.waits = False
        if not goes_on(running.suggestion, running.event, decision):
            tidy(self._checkpoints, high, trial, running.event, decision)
            del seat.trials[trial]
            seat.started = [each for each in seat.started if each[0].trial != trial]
            seat.dropped.append(trial)

    def close(self) -> None:
        end([seat.process for seat in self._seats])
        self._seats = []

    def _begin_round(self, seat: _Seat) -> None:
        """Tell an idle seat what was started and dropped, and let the trials that wait for nothing train an epoch."""
        ready = [trial for trial, running in seat.trials.items() if not running.waits]
        if seat.at_work or not ready:
            return
        seat.suspects = [trial for trial in seat.suspects if trial in seat.trials]
        seat.at_work = seat.suspects[:1] or ready
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a death is found when the answer is read
            seat.process.pipe.send((seat.dropped, seat.started, seat.at_work))
        seat.dropped, seat.started = [], []

    def _receive(self, seat: _Seat) -> list[Report | Crash]:
        """What came of a round; nothing if the worker died and its trials were started again."""
        try:
            answer: list[Report | Crash] | MachineError | TaskError = seat.process.pipe.recv()
        except (EOFError, ConnectionResetError):
            answer = self._died(seat)
        if isinstance(answer, MachineError | TaskError):
            raise answer
        for event in answer:
            running = seat.trials[event.trial]
            running.event, running.waits = event, True
            seat.suspects = [trial for trial in seat.suspects if trial != event.trial]
            if isinstance(event, Report):
                running.after = event.fidelity
        if answer:
            seat.deaths = 0
        if any(isinstance(event, Crash) and "CUDA error" in event.error for event in answer):
            self._replace(seat)  # the device context of that process is lost
        seat.at_work = []
        return answer

    def _died(self, seat: _Seat) -> list[Report | Crash]:
        """Put a new worker in place of one that died; the crash of the trial that is to blame, if that is known."""
        seat.deaths += 1
        status = self._replace(seat)
        if seat.deaths < MAX_DEATHS:
            return []
        if len(seat.at_work) > 1:
            seat.suspects = list(seat.at_work)
            return []
        (trial,) = seat.at_work
        after = seat.trials[trial].after
        error = f"its worker died {seat.deaths} times after epoch {after}, at last with exit status {status}"
        return [Crash(trial, "WorkerDied", error)]

    def _replace(self, seat: _Seat) -> int | None:
        """A new process, to be told of all trials; the exit status of the old one."""
        seat.dropped = []
        seat.started = [(running.suggestion, running.after) for running in seat.trials.values()]
        return seat.process.replace()


def serve(pipe: connection.Connection, job: Job, checkpoints: Path, slot: Slot) -> None:
    """What a worker does: round after round."""
    team = Team(Worker(job, checkpoints, slot.device))
    while True:
        dropped, started, trials = pipe.recv()
        for trial in dropped:
            team.drop(trial)
        for suggestion, after in started:
            team.start(suggestion, after)
        answer: list[Report | Crash] | MachineError | TaskError
        try:
            answer = team.round(trials)
        except (MachineError, TaskError) as error:
            answer = error
        except DeviceLost:
            os._exit(1)
        pipe.send(answer)

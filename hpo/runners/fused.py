"""The fused runner: one long-lived worker process a device, each with many trials, which train in rounds.

In a round each trial of a worker trains an epoch: those that differ only in numbers and train but a small head as
one program (`trainables/fused/group.py`), any others one after another. Then the worker waits for all decisions. A
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

from hpo.devices import Slot, plan_slots
from hpo.errors import HpoError, MachineError, TaskError
from hpo.runners._fused_worker import DeviceLost, FusedWorker
from hpo.runners._process import Process, end
from hpo.runners._runner import goes_on, tidy
from hpo.training.builder import Job
from hpo.training.checkpoints import recover
from hpo.training.worker import Worker
from hpo.trial import Crash, Decision, Report, Suggestion

MAX_DEATHS = 2
"""Deaths of a worker, without a new epoch between them, after which its trials train one by one."""
N_TRIALS = {"cpu": 8, "cuda": 16}
"""Trials at once on a device, where nothing is said. More are faster still, but begin before a backend that learns
from what came before has learned anything."""


def build(job: Job, checkpoints: Path, *, devices: str = "auto", slots: int | None = None) -> Fused:
    """A runner with so many slots on each of `devices`; a worker starts with the first trial on its device."""
    job.check_can_be_sent()
    recover(checkpoints)
    plan_slots(devices, slots)  # names what is wrong
    return Fused(job, checkpoints, plan_slots(devices, 1), slots)


@dataclass
class _Running:
    """A trial on a worker."""

    suggestion: Suggestion
    after: int
    """The last epoch of it that was handed on."""
    event: Report | Crash | None = None
    """Its last event."""
    waits: bool = False
    """Whether it waits for the decision on that event."""


@dataclass
class _WorkerState:
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
        self._workers: list[_WorkerState] = []
        """The devices that have been used so far, in their order."""

    def free(self) -> int:
        return self._n_slots * len(self._devices) - sum(len(worker.trials) for worker in self._workers)

    def start(self, suggestion: Suggestion, *, after: int) -> None:
        if len(self._workers) < len(self._devices):
            slot = self._devices[len(self._workers)]
            if all(worker.trials for worker in self._workers):
                self._workers.append(_WorkerState(Process(serve, (self._job, self._checkpoints), slot)))
        worker = min(self._workers, key=lambda worker: len(worker.trials))
        if not worker.trials and not worker.process.is_alive:  # it died idle, which is no fault of this trial's
            worker.process.replace()
        worker.trials[suggestion.trial] = _Running(suggestion, after)
        worker.started.append((suggestion, after))

    def events(self) -> Iterable[Report | Crash]:
        events: list[Report | Crash] = []
        while not events:
            for worker in self._workers:
                self._begin_round(worker)
            busy = {worker.process.pipe: worker for worker in self._workers if worker.at_work}
            if not busy:
                raise HpoError("no trial is running, so nothing can happen")
            for pipe in connection.wait(busy):
                events += self._receive(busy[pipe])  # type: ignore[index]
        return events

    def settle(self, trial: int, decision: Decision) -> None:
        high = self._job.space.fidelity.high
        worker = next((worker for worker in self._workers if trial in worker.trials), None)
        if worker is None:
            tidy(self._checkpoints, high, trial, None, decision)
            return
        running = worker.trials[trial]
        running.waits = False
        if not goes_on(running.suggestion, running.event, decision):
            tidy(self._checkpoints, high, trial, running.event, decision)
            del worker.trials[trial]
            worker.started = [each for each in worker.started if each[0].trial != trial]
            worker.dropped.append(trial)

    def close(self) -> None:
        end([worker.process for worker in self._workers])
        self._workers = []

    def _begin_round(self, worker: _WorkerState) -> None:
        """Tell an idle worker what was started and dropped, and let the trials that wait for nothing train an epoch."""
        ready = [trial for trial, running in worker.trials.items() if not running.waits]
        if worker.at_work or not ready:
            return
        worker.suspects = [trial for trial in worker.suspects if trial in worker.trials]
        worker.at_work = worker.suspects[:1] or ready
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a death is found when the answer is read
            worker.process.pipe.send((worker.dropped, worker.started, worker.at_work))
        worker.dropped, worker.started = [], []

    def _receive(self, worker: _WorkerState) -> list[Report | Crash]:
        """What came of a round; nothing if the worker died and its trials were started again."""
        try:
            answer: list[Report | Crash] | MachineError | TaskError = worker.process.pipe.recv()
        except (EOFError, ConnectionResetError):
            answer = self._died(worker)
        if isinstance(answer, MachineError | TaskError):
            raise answer
        for event in answer:
            running = worker.trials[event.trial]
            running.event, running.waits = event, True
            worker.suspects = [trial for trial in worker.suspects if trial != event.trial]
            if isinstance(event, Report):
                running.after = event.fidelity
        if answer:
            worker.deaths = 0
        if any(isinstance(event, Crash) and "CUDA error" in event.error for event in answer):
            self._replace(worker)  # the device context of that process is lost
        worker.at_work = []
        return answer

    def _died(self, worker: _WorkerState) -> list[Report | Crash]:
        """Put a new worker in place of one that died; the crash of the trial that is to blame, if that is known."""
        worker.deaths += 1
        status = self._replace(worker)
        if worker.deaths < MAX_DEATHS:
            return []
        if len(worker.at_work) > 1:
            worker.suspects = list(worker.at_work)
            return []
        (trial,) = worker.at_work
        after = worker.trials[trial].after
        error = f"its worker died {worker.deaths} times after epoch {after}, at last with exit status {status}"
        return [Crash(trial, "WorkerDied", error)]

    def _replace(self, worker: _WorkerState) -> int | None:
        """A new process, to be told of all trials; the exit status of the old one."""
        worker.dropped = []
        worker.started = [(running.suggestion, running.after) for running in worker.trials.values()]
        return worker.process.replace()


def serve(pipe: connection.Connection, job: Job, checkpoints: Path, slot: Slot) -> None:
    """What a worker does: round after round."""
    team = FusedWorker(Worker(job, checkpoints, slot.device))
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

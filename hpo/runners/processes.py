"""The processes runner: one long-lived worker process a slot.

A worker imports torch and reads the data set once, then trains trial after trial. After each report it
waits for the decision, so that no epoch is trained that nobody wants. A worker that dies is replaced and
its trial goes on from its checkpoint; one that dies twice without a new epoch crashes its trial.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path

from hpo.devices import Slot, plan_slots
from hpo.errors import HpoError, MachineError, TaskError
from hpo.runners._process import Process, end
from hpo.runners._runner import crash, goes_on, tidy
from hpo.training.builder import Job
from hpo.training.checkpoints import recover
from hpo.training.worker import Worker
from hpo.trial import Crash, Decision, Report, Suggestion

MAX_DEATHS = 2
"""Deaths of a trial's workers, without a new epoch between them, that make it a crash."""


def build(job: Job, checkpoints: Path, *, devices: str = "auto", slots: int | None = None) -> Processes:
    """A runner with a slot for each of `devices`; its worker starts with the first trial on it."""
    job.check_can_be_sent()
    recover(checkpoints)
    return Processes(job, checkpoints, plan_slots(devices, slots))


@dataclass
class _WorkerState:
    """A slot, the process that works on it, and the trial that it trains."""

    process: Process
    suggestion: Suggestion | None = None
    event: Report | Crash | None = None
    """The last event of the trial."""
    after: int = 0
    """The last epoch of the trial that was handed on."""
    deaths: int = 0


@dataclass
class Processes:
    """Trains on several slots at once."""

    job: Job
    checkpoints: Path
    slots: list[Slot]
    _workers: list[_WorkerState] = field(default_factory=list)
    """The slots that have been used so far, in the order of `slots`."""

    def free(self) -> int:
        return len(self.slots) - sum(worker.suggestion is not None for worker in self._workers)

    def start(self, suggestion: Suggestion, *, after: int) -> None:
        worker = next((worker for worker in self._workers if worker.suggestion is None), None)
        if worker is None:
            slot = self.slots[len(self._workers)]
            worker = _WorkerState(Process(serve, (self.job, self.checkpoints), slot))
            self._workers.append(worker)
        elif not worker.process.is_alive:  # it died idle, which is no fault of this trial's
            worker.process.replace()
        worker.suggestion, worker.event, worker.after, worker.deaths = suggestion, None, after, 0
        self._send(worker, (suggestion, after))

    def events(self) -> Iterable[Report | Crash]:
        busy = {worker.process.pipe: worker for worker in self._workers if worker.suggestion is not None}
        if not busy:
            raise HpoError("no trial is running, so nothing can happen")
        events: list[Report | Crash] = []
        while not events:
            for pipe in connection.wait(busy):
                worker = busy[pipe]  # type: ignore[index]
                event = self._receive(worker)
                if event is not None:
                    events.append(event)
            busy = {worker.process.pipe: worker for worker in self._workers if worker.suggestion is not None}
        return events

    def settle(self, trial: int, decision: Decision) -> None:
        worker = next(
            (worker for worker in self._workers if worker.suggestion and worker.suggestion.trial == trial), None
        )
        if worker is None or worker.suggestion is None:
            tidy(self.checkpoints, self.job.space.fidelity.high, trial, None, decision)
            return
        on = goes_on(worker.suggestion, worker.event, decision)
        if not on:
            tidy(self.checkpoints, self.job.space.fidelity.high, trial, worker.event, decision)
            worker.suggestion = None
        if isinstance(worker.event, Report):
            self._send(worker, on)

    def close(self) -> None:
        end([worker.process for worker in self._workers])
        self._workers = []

    def _send(self, worker: _WorkerState, message: object) -> None:
        try:
            worker.process.pipe.send(message)
        except (BrokenPipeError, ConnectionResetError):
            if worker.suggestion is None:
                worker.process.replace()
            # else the death of the worker is found by `events`, which starts the trial again

    def _receive(self, worker: _WorkerState) -> Report | Crash | None:
        """The next event of a worker; None if its worker died and its trial was started again."""
        assert worker.suggestion is not None
        try:
            event: Report | Crash | MachineError | TaskError = worker.process.pipe.recv()
        except (EOFError, ConnectionResetError):
            worker.deaths += 1
            status = worker.process.replace()
            if worker.deaths < MAX_DEATHS:
                self._send(worker, (worker.suggestion, worker.after))
                return None
            error = (
                f"its worker died {worker.deaths} times after epoch {worker.after}, at last with exit status {status}"
            )
            event = Crash(worker.suggestion.trial, "WorkerDied", error)
        if isinstance(event, MachineError | TaskError):
            raise event
        if isinstance(event, Report):
            worker.after, worker.deaths = event.fidelity, 0
        elif event.kind != "WorkerDied" and "CUDA error" in event.error:
            worker.process.replace()  # the device context of that process is lost
        worker.event = event
        return event


def serve(pipe: connection.Connection, job: Job, checkpoints: Path, slot: Slot) -> None:
    """What a worker does: it trains one trial after another."""
    worker = Worker(job, checkpoints, slot.device)
    while True:
        suggestion, after = pipe.recv()
        _train(pipe, worker, suggestion, after)


def _train(pipe: connection.Connection, worker: Worker, suggestion: Suggestion, after: int) -> None:
    """Train until the decision is no; an error of the training is an event, one of the pipe ends the worker."""
    reports = worker.train(suggestion, after=after)
    goes_on = True
    while goes_on:
        event: Report | Crash | MachineError | TaskError
        try:
            event = next(reports)
        except (MachineError, TaskError) as error:
            event = error
        except Exception as error:
            event = crash(suggestion.trial, error)
        pipe.send(event)
        goes_on = isinstance(event, Report) and pipe.recv()

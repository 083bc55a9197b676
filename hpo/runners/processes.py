"""The processes runner: trains one trial at a time in each of several worker processes, one process for each slot.

A worker imports torch and reads the data set once, then trains one trial after another. After each report it waits for
the decision, so no epoch is trained in vain. A worker that dies is replaced, and its trial continues from its
checkpoint. If the workers of a trial die twice without a new epoch in between, the trial has crashed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path

from hpo.devices import Slot, plan_slots
from hpo.errors import HpoError, MachineError, TaskError
from hpo.runners._runner import crash, discard_unneeded, goes_on, has_hung, hung, is_preparing
from hpo.runners._worker_process import Process, kill_and_join, ready
from hpo.training.builder import Job
from hpo.training.checkpoints import prepare
from hpo.training.worker import Worker
from hpo.trial import Crash, Decision, Report, Suggestion

MAX_DEATHS = 2
"""A trial crashes if its workers die this many times without a new epoch in between."""


def build(
    job: Job, checkpoints: Path, *, devices: str = "auto", slots: int | None = None, report_timeout: float | None = None
) -> Processes:
    """Build a runner with `slots` slots on each of `devices`.

    The default is one slot on each GPU, or one for each core on the CPU.

    The worker of a slot starts with the first trial on the slot. Raises a UserError if a device does not exist,
    or if the trainable of `job` cannot be sent to a worker process.
    """
    job.check_can_be_sent()
    prepare(checkpoints)
    return Processes(job, checkpoints, plan_slots(devices, slots), report_timeout)


@dataclass
class _WorkerState:
    """The worker process of a slot, and the trial that it trains."""

    process: Process
    suggestion: Suggestion | None = None
    """None if the slot is free."""
    event: Report | Crash | None = None
    """The last event of the trial."""
    after: int = 0
    """The last epoch of the trial that was reported, or was on record when the trial started."""
    deaths: int = 0
    """How many workers of the trial have died since its last new epoch."""
    trains: bool = False
    """Whether the worker trains. It does not after an event, until the decision is sent."""
    since: float = 0.0
    """When the worker began its epoch, or when data were last prepared meanwhile, as `time.monotonic`."""


@dataclass
class Processes:
    """Trains one trial on each slot."""

    job: Job
    checkpoints: Path
    slots: list[Slot]
    report_timeout: float | None = None
    """The longest time without a report, in seconds. None is no limit."""
    _workers: list[_WorkerState] = field(default_factory=list)
    """The workers of the slots that have been used so far, in the order of `slots`."""

    def free(self) -> int:
        return len(self.slots) - sum(worker.suggestion is not None for worker in self._workers)

    def start(self, suggestion: Suggestion, *, after: int) -> None:
        worker = next((worker for worker in self._workers if worker.suggestion is None), None)
        if worker is None:
            slot = self.slots[len(self._workers)]
            worker = _WorkerState(Process(serve, (self.job, self.checkpoints), slot))
            self._workers.append(worker)
        elif not worker.process.is_alive():  # it died while idle, which no trial caused
            worker.process.replace()
        worker.suggestion, worker.event, worker.after, worker.deaths = suggestion, None, after, 0
        self._send(worker, (suggestion, after))

    def events(self) -> Iterable[Report | Crash]:
        busy = {worker.process: worker for worker in self._workers if worker.suggestion is not None}
        if not busy:
            raise HpoError("no trial is running, so nothing can happen")
        processes = [worker.process for worker in self._workers]
        events = [self._receive(busy[process]) for process in ready([*busy], processes)]
        if is_preparing(self.report_timeout):
            for worker in busy.values():
                worker.since = time.monotonic()
        events += [self._end_hung(worker) for worker in busy.values() if worker.trains]
        return [event for event in events if event is not None]

    def settle(self, trial: int, decision: Decision) -> None:
        worker = next(
            (worker for worker in self._workers if worker.suggestion and worker.suggestion.trial == trial), None
        )
        if worker is None or worker.suggestion is None:
            discard_unneeded(self.checkpoints, self.job.space.fidelity.high, trial, None, decision)
            return
        trains_on = goes_on(worker.suggestion, worker.event, decision)
        if not trains_on:
            discard_unneeded(self.checkpoints, self.job.space.fidelity.high, trial, worker.event, decision)
            worker.suggestion = None
        if isinstance(worker.event, Report):
            self._send(worker, trains_on)

    def close(self) -> None:
        kill_and_join([worker.process for worker in self._workers])
        self._workers = []

    def _send(self, worker: _WorkerState, message: object) -> None:
        worker.since, worker.trains = time.monotonic(), worker.suggestion is not None
        try:
            worker.process.pipe.send(message)
        except (BrokenPipeError, ConnectionResetError):
            if worker.suggestion is None:
                worker.process.replace()
            # Otherwise `events` notices that the worker died, and starts the trial again.

    def _end_hung(self, worker: _WorkerState) -> Crash | None:
        """Replace the process of a worker that has hung, and return the Crash of its trial. None if it has not."""
        if worker.suggestion is None or self.report_timeout is None or not has_hung(worker.since, self.report_timeout):
            return None
        worker.process.replace()
        worker.event, worker.trains = hung(worker.suggestion.trial, worker.after, self.report_timeout), False
        return worker.event

    def _receive(self, worker: _WorkerState) -> Report | Crash | None:
        """Return the next event of a worker. Returns None if the worker died and its trial was started again.

        Raises a MachineError or a TaskError of the worker.
        """
        assert worker.suggestion is not None
        try:
            event: Report | Crash | MachineError | TaskError = worker.process.receive()
        except EOFError:
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
            worker.process.replace()  # a CUDA error makes the device unusable for the rest of the process
        worker.event, worker.trains = event, False
        return event


def serve(pipe: connection.Connection, job: Job, checkpoints: Path, slot: Slot) -> None:
    """The main loop of a worker process: it trains one trial after another."""
    worker = Worker(job, checkpoints, slot.device)
    while True:
        suggestion, after = pipe.recv()
        _train(pipe, worker, suggestion, after)


def _train(pipe: connection.Connection, worker: Worker, suggestion: Suggestion, after: int) -> None:
    """Train a trial until the runner decides that it ends, or until an error.

    An error of the training is sent as an event. An error of the pipe is raised, which ends the worker.
    """
    reports = worker.train(suggestion, after=after)
    trains_on = True
    while trains_on:
        event: Report | Crash | MachineError | TaskError
        try:
            event = next(reports)
        except (MachineError, TaskError) as error:
            event = error
        except Exception as error:
            event = crash(suggestion.trial, error)
        pipe.send(event)
        trains_on = isinstance(event, Report) and pipe.recv()

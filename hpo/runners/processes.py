"""The processes runner: trains one trial at a time in each of several worker processes, one process for each slot.

A worker imports torch and reads the data set once, then trains one trial after another. After each report it waits for
the decision, so no epoch is trained in vain. A worker that dies is replaced, and its trial continues from its
checkpoint. If the workers of a trial die twice without a new epoch in between, the trial has crashed.

A trial that runs out of memory is tried again alone (`hpo/training/out_of_memory.py`): no trial starts on its device,
and each trial that trains there is held after its epoch. A held trial has no process, so it takes no memory. When the
trial that had to be alone leaves its slot, the held ones continue from their checkpoints.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path

from hpo.devices import Slot, plan_slots
from hpo.errors import HpoError, MachineError, TaskError
from hpo.runners._alone import SlotLocation, excludes, may_train
from hpo.runners._runner import MAX_DEATHS, crash, discard_unneeded, goes_on, has_hung, hung, is_preparing, worker_died
from hpo.runners._worker_process import Process, kill_and_join, ready
from hpo.training.builder import Job
from hpo.training.checkpoints import prepare
from hpo.training.out_of_memory import Attempt, final, n_oom_kills, next_attempt, of_death
from hpo.training.worker import Worker
from hpo.trial import Crash, Decision, Report, Suggestion

MEASURES_SLOTS = True
DIVIDES_CORES = True
"""On the CPU, the cores are divided among the slots: with fewer slots, a trial trains faster."""


def build(
    job: Job,
    checkpoints: Path,
    *,
    devices: str = "auto",
    slots: int | None = None,
    report_timeout: float | None = None,
    devices_per_trial: int = 1,
) -> Processes:
    """Build a runner with `slots` slots on each of `devices`.

    The default is one slot on each GPU, or one for each core on the CPU. With `devices_per_trial`, a slot has so many
    GPUs, or so many processes on the CPU, which train one trial together.

    The worker of a slot starts with the first trial on the slot. Raises a UserError if a device does not exist,
    or if the trainable of `job` cannot be sent to a worker process.
    """
    job.check_can_be_sent()
    prepare(checkpoints)
    return Processes(job, checkpoints, plan_slots(devices, slots, devices_per_trial), report_timeout)


@dataclass
class _WorkerState:
    """The worker process of a slot, and the trial that it trains."""

    slot: Slot
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
    attempt: Attempt = field(default_factory=Attempt)
    """How the trial is trained."""
    is_held: bool = False
    """Whether the trial waits, without a process, until its device has memory for it."""
    since: float = 0.0
    """When the worker began its epoch, or when data were last prepared meanwhile, as `time.monotonic`."""

    @property
    def place(self) -> SlotLocation:
        return place_of(self.slot)


@dataclass
class Processes:
    """Trains one trial on each slot."""

    job: Job
    checkpoints: Path
    slots: list[Slot]
    report_timeout: float | None = None
    """The longest time without a report, in seconds. None is no limit."""
    count_oom_kills: Callable[[], int | None] = n_oom_kills
    """The number of processes that the kernel has killed because memory ran out. None if this is not known."""
    _workers: dict[int, _WorkerState] = field(default_factory=dict)
    """The workers of the slots that have been used so far, by the index of their slot."""
    _attempts: dict[int, Attempt] = field(default_factory=dict)
    """How trials must be trained that ran out of memory, by trial number. It holds when they are promoted, too."""

    def free(self) -> int:
        return len(self._free_slots())

    def start(self, suggestion: Suggestion, *, after: int) -> None:
        free = self._free_slots()
        index = next((index for index in free if index in self._workers), free[0])
        if index not in self._workers:
            slot = self.slots[index]
            process = Process(serve, (self.job, self.checkpoints), slot, self.count_oom_kills)
            self._workers[index] = _WorkerState(slot, process)
        worker = self._workers[index]
        worker.suggestion, worker.event, worker.after, worker.deaths = suggestion, None, after, 0
        worker.attempt, worker.is_held = self._attempts.get(suggestion.trial, Attempt()), True
        self._train_held()

    def events(self) -> Iterable[Report | Crash]:
        if not self._busy():
            raise HpoError("no trial is running, so nothing can happen")
        busy = {worker.process: worker for worker in self._busy() if not worker.is_held}
        processes = [worker.process for worker in self._workers.values()]
        events = [self._receive(busy[process]) for process in ready([*busy], processes)]
        if is_preparing(self.report_timeout):
            for worker in busy.values():
                worker.since = time.monotonic()
        events += [self._end_hung(worker) for worker in busy.values() if worker.trains]
        return [event for event in events if event is not None]

    def settle(self, trial: int, decision: Decision) -> None:
        worker = next(
            (worker for worker in self._busy() if worker.suggestion and worker.suggestion.trial == trial), None
        )
        if worker is None or worker.suggestion is None:
            discard_unneeded(self.checkpoints, self.job, trial, None, decision)
            return
        if goes_on(worker.suggestion, worker.event, decision):
            if self._may_train(worker):
                self._send(worker, True)
            else:
                worker.process.end()
                worker.is_held = True
        else:
            discard_unneeded(self.checkpoints, self.job, trial, worker.event, decision)
            worker.suggestion = None
            if isinstance(worker.event, Report):
                self._send(worker, False)
        self._train_held()

    def close(self) -> None:
        kill_and_join([worker.process for worker in self._workers.values()])
        self._workers = {}

    def _busy(self) -> list[_WorkerState]:
        """The workers whose slots have a trial."""
        return [worker for worker in self._workers.values() if worker.suggestion is not None]

    def _free_slots(self) -> list[int]:
        """The indices of the slots that can take a trial now. None can while a trial must be alone on their device."""
        alone = [worker for worker in self._busy() if worker.attempt.alone_on is not None]
        return [
            index
            for index, slot in enumerate(self.slots)
            if (index not in self._workers or self._workers[index].suggestion is None)
            and not any(excludes(worker, place_of(slot)) for worker in alone)
        ]

    def _may_train(self, worker: _WorkerState) -> bool:
        """Whether the trial of a worker may train now. One that must be alone waits until the others are held."""
        return may_train(worker, [other for other in self._busy() if other is not worker])

    def _train_held(self) -> None:
        """Let the held trials train that may train now, first those that must be alone."""
        held = [worker for worker in self._busy() if worker.is_held]
        for worker in sorted(held, key=lambda worker: worker.attempt.alone_on is None):
            if self._may_train(worker):
                for other in self._workers.values():
                    if other.suggestion is None and excludes(worker, other.place):
                        other.process.end()  # an idle process keeps its data in memory
                worker.is_held = False
                self._begin(worker)

    def _begin(self, worker: _WorkerState) -> None:
        """Let the process of a worker train its trial from its checkpoint. A new one does if it has ended."""
        assert worker.suggestion is not None
        if not worker.process.is_alive():
            worker.process.replace()
        self._send(worker, (worker.suggestion, worker.after, worker.attempt.micro_batches))

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
        """Return the next event of a worker. Returns None if its trial was started again, or waits to be.

        Raises a MachineError or a TaskError of the worker.
        """
        assert worker.suggestion is not None
        trial = worker.suggestion.trial
        try:
            event: Report | Crash | MachineError | TaskError = worker.process.receive()
        except EOFError:
            death = worker.process.end()
            shortage = of_death(trial, worker.after, death.status, death.is_oom_kill)
            worker.deaths += shortage is None
            if shortage is None and worker.deaths < MAX_DEATHS:
                self._begin(worker)
                return None
            event = shortage or worker_died(trial, worker.after, death.status)
        if isinstance(event, MachineError | TaskError):
            raise event
        if isinstance(event, Report):
            worker.after, worker.deaths = event.fidelity, 0
        else:
            if event.is_out_of_memory or "CUDA error" in event.error:
                worker.process.end()  # it keeps memory, and a CUDA error makes the device unusable for it
            settings = {**self.job.space.fixed, **worker.suggestion.config}
            attempt = next_attempt(settings, worker.attempt, event)
            if attempt is not None:
                worker.attempt = self._attempts[trial] = attempt
                worker.is_held, worker.trains = True, False
                self._train_held()
                return None
            event = final(worker.attempt, event)
        worker.event, worker.trains = event, False
        return event


def place_of(slot: Slot) -> SlotLocation:
    """Return where a slot of this machine trains."""
    return SlotLocation("", frozenset({slot.name}))


def serve(pipe: connection.Connection, job: Job, checkpoints: Path, slot: Slot) -> None:
    """The main loop of a worker process: it trains one trial after another."""
    worker = Worker(job, checkpoints, slot.device, slot.n_devices)
    while True:
        suggestion, after, micro_batches = pipe.recv()
        _train(pipe, suggestion, worker.train(suggestion, after=after, micro_batches=micro_batches))


def _train(pipe: connection.Connection, suggestion: Suggestion, reports: Iterator[Report]) -> None:
    """Train a trial until the runner decides that it ends, or until an error.

    An error of the training is sent as an event. An error of the pipe is raised, which ends the worker.
    """
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

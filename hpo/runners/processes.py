"""The processes runner (floor 3): one long-lived worker process a slot.

A worker imports torch and reads the data set once, then trains trial after trial. After each report it
waits for the decision, so that no epoch is trained that nobody wants. A worker that dies is replaced and
its trial goes on from its checkpoint; one that dies twice without a new epoch crashes its trial.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path

from hpo.builder import Job
from hpo.checkpoints import recover
from hpo.errors import HpoError, MachineError, TaskError
from hpo.runners import _slots
from hpo.runners._process import Process, end
from hpo.runners._runner import crash, goes_on, tidy
from hpo.runners._slots import Slot
from hpo.trial import Crash, Decision, Report, Suggestion
from hpo.worker import Worker

MAX_DEATHS = 2
"""Deaths of a trial's workers, without a new epoch between them, that make it a crash."""


def build(job: Job, checkpoints: Path, *, devices: str = "auto", slots: int | None = None) -> Processes:
    """A runner with a slot for each of `devices`; its worker starts with the first trial on it."""
    recover(checkpoints)
    return Processes(job, checkpoints, _slots.plan(devices, slots))


@dataclass
class _Seat:
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
    _seats: list[_Seat] = field(default_factory=list)
    """The slots that have been used so far, in the order of `slots`."""

    def free(self) -> int:
        return len(self.slots) - sum(seat.suggestion is not None for seat in self._seats)

    def start(self, suggestion: Suggestion, *, after: int) -> None:
        seat = next((seat for seat in self._seats if seat.suggestion is None), None)
        if seat is None:
            slot = self.slots[len(self._seats)]
            seat = _Seat(Process(serve, (self.job, self.checkpoints), slot))
            self._seats.append(seat)
        elif not seat.process.is_alive:  # it died idle, which is no fault of this trial's
            seat.process.replace()
        seat.suggestion, seat.event, seat.after, seat.deaths = suggestion, None, after, 0
        self._send(seat, (suggestion, after))

    def events(self) -> Iterable[Report | Crash]:
        busy = {seat.process.pipe: seat for seat in self._seats if seat.suggestion is not None}
        if not busy:
            raise HpoError("no trial is running, so nothing can happen")
        events: list[Report | Crash] = []
        while not events:
            for pipe in connection.wait(busy):
                seat = busy[pipe]  # type: ignore[index]
                event = self._receive(seat)
                if event is not None:
                    events.append(event)
            busy = {seat.process.pipe: seat for seat in self._seats if seat.suggestion is not None}
        return events

    def settle(self, trial: int, decision: Decision) -> None:
        seat = next((seat for seat in self._seats if seat.suggestion and seat.suggestion.trial == trial), None)
        if seat is None or seat.suggestion is None:
            tidy(self.checkpoints, self.job.space.fidelity.high, trial, None, decision)
            return
        on = goes_on(seat.suggestion, seat.event, decision)
        if not on:
            tidy(self.checkpoints, self.job.space.fidelity.high, trial, seat.event, decision)
            seat.suggestion = None
        if isinstance(seat.event, Report):
            self._send(seat, on)

    def close(self) -> None:
        end([seat.process for seat in self._seats])
        self._seats = []

    def _send(self, seat: _Seat, message: object) -> None:
        try:
            seat.process.pipe.send(message)
        except (BrokenPipeError, ConnectionResetError):
            if seat.suggestion is None:
                seat.process.replace()
            # else the death of the worker is found by `events`, which starts the trial again

    def _receive(self, seat: _Seat) -> Report | Crash | None:
        """The next event of a seat; None if its worker died and its trial was started again."""
        assert seat.suggestion is not None
        try:
            event: Report | Crash | MachineError | TaskError = seat.process.pipe.recv()
        except (EOFError, ConnectionResetError):
            seat.deaths += 1
            status = seat.process.replace()
            if seat.deaths < MAX_DEATHS:
                self._send(seat, (seat.suggestion, seat.after))
                return None
            error = f"its worker died {seat.deaths} times after epoch {seat.after}, at last with exit status {status}"
            event = Crash(seat.suggestion.trial, "WorkerDied", error)
        if isinstance(event, MachineError | TaskError):
            raise event
        if isinstance(event, Report):
            seat.after, seat.deaths = event.fidelity, 0
        elif event.kind != "WorkerDied" and "CUDA error" in event.error:
            seat.process.replace()  # the device context of that process is lost
        seat.event = event
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

"""The fused runner: trains many trials at once in one worker process for each device.

A worker trains in rounds of one epoch for each of its trials. Trials that train only a small head, and differ only in
numbers such as the learning rate, train as one batched program (`trainables/fused/group.py`). All others train one
after another. After a round the worker waits for all decisions.

A worker that dies is replaced, and its trials continue from their checkpoints. If it dies twice without a new epoch in
between, its trials train one by one until each has a new epoch, so that only the trial that kills the worker crashes.

A trial that runs out of memory is tried again in a new process and a round of its own, see
`hpo/training/out_of_memory.py`. If it was the main memory, no other worker has a process meanwhile: the rounds of the
others are awaited, and their trials continue afterwards from their checkpoints.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from hpo.devices import Slot, plan_slots
from hpo.errors import HpoError, MachineError, TaskError
from hpo.runners._fused_worker import serve
from hpo.runners._runner import MAX_DEATHS, discard_unneeded, goes_on, has_hung, hung, is_preparing, worker_died
from hpo.runners._worker_process import Death, Process, kill_and_join, ready
from hpo.training.builder import Job
from hpo.training.checkpoints import prepare
from hpo.training.out_of_memory import Attempt, final, killed, n_oom_kills, next_attempt
from hpo.trial import Crash, Decision, Report, Suggestion

N_TRIALS = {"cpu": 8, "cuda": 16}
"""The default number of trials at once on a device.

More would train faster, but would start before a backend that learns from earlier trials has learned anything.
"""


def build(
    job: Job, checkpoints: Path, *, devices: str = "auto", slots: int | None = None, report_timeout: float | None = None
) -> Fused:
    """Build a runner with `slots` slots on each of `devices`. None is the default of the device, `N_TRIALS`.

    The worker of a device starts with the first trial on the device. Raises a UserError if a device does not exist,
    or if the trainable of `job` cannot be sent to a worker process.
    """
    job.check_can_be_sent()
    prepare(checkpoints)
    plan_slots(devices, slots)  # raises a UserError if `slots` is wrong
    return Fused(job, checkpoints, plan_slots(devices, 1), slots, report_timeout)


@dataclass
class _Running:
    """A trial that has a slot."""

    suggestion: Suggestion
    after: int
    """The last epoch that was reported, or was on record when the trial started."""
    event: Report | Crash | None = None
    """The last event of the trial."""
    waits: bool = False
    """Whether the trial waits for the decision on this event."""
    attempt: Attempt = field(default_factory=Attempt)
    """How the trial is trained."""


@dataclass
class _WorkerState:
    """The worker process of a device, and the trials that it trains."""

    process: Process
    trials: dict[int, _Running] = field(default_factory=dict)
    started: list[tuple[Suggestion, int, int | None]] = field(default_factory=list)
    """The trials that started since the last round, each with its last epoch on record and the parts of its batches.

    They are sent with the next round.
    """
    dropped: list[int] = field(default_factory=list)
    """The trials that ended since the last round. Sent with the next round, so that the process frees their memory."""
    in_round: list[int] = field(default_factory=list)
    """The trials of the current round. Empty if the process waits for the next round."""
    deaths: int = 0
    """How many processes of this worker have died since the last event."""
    since: float = 0.0
    """When the round began, or when data were last prepared meanwhile, as `time.monotonic`."""
    suspects: list[int] = field(default_factory=list)
    """The trials that must train one by one, because one of them may kill the process."""
    is_ended: bool = False
    """Whether the process was ended for the trial of another worker. The next round needs a new one."""


class Fused:
    """Trains many trials on each device at once."""

    def __init__(
        self,
        job: Job,
        checkpoints: Path,
        devices: list[Slot],
        slots: int | None,
        report_timeout: float | None = None,
        count_oom_kills: Callable[[], int | None] = n_oom_kills,
    ) -> None:
        """`report_timeout` is the longest time without a report, in seconds. A round of n trials may take n times that.

        None is no limit. `count_oom_kills` is that of `Process`.
        """
        self._count_oom_kills = count_oom_kills
        self._report_timeout = report_timeout
        self._job, self._checkpoints, self._devices = job, checkpoints, devices
        self._n_slots = slots or N_TRIALS[devices[0].device]
        self._workers: list[_WorkerState] = []
        """The workers of the devices that have been used so far, in the order of the devices."""

    def free(self) -> int:
        return self._n_slots * len(self._devices) - sum(len(worker.trials) for worker in self._workers)

    def start(self, suggestion: Suggestion, *, after: int) -> None:
        if len(self._workers) < len(self._devices):
            slot = self._devices[len(self._workers)]
            if all(worker.trials for worker in self._workers):
                arguments = self._job, self._checkpoints
                self._workers.append(_WorkerState(Process(serve, arguments, slot, self._count_oom_kills)))
        worker = min(self._workers, key=lambda worker: len(worker.trials))
        if not worker.trials and not worker.process.is_alive():  # it died while idle, which no trial caused
            worker.process.replace()
        worker.trials[suggestion.trial] = _Running(suggestion, after)
        worker.started.append((suggestion, after, None))

    def events(self) -> Iterable[Report | Crash]:
        self._start_rounds()
        busy = {worker.process: worker for worker in self._workers if worker.in_round}
        if not busy:
            raise HpoError("no trial is running, so nothing can happen")
        processes = [worker.process for worker in self._workers]
        events = [event for process in ready([*busy], processes) for event in self._receive(busy[process])]
        if is_preparing(self._report_timeout):
            for worker in busy.values():
                worker.since = time.monotonic()
        return events + [event for worker in busy.values() if worker.in_round for event in self._end_hung(worker)]

    def settle(self, trial: int, decision: Decision) -> None:
        worker = next((worker for worker in self._workers if trial in worker.trials), None)
        if worker is None:
            discard_unneeded(self._checkpoints, self._job, trial, None, decision)
            return
        running = worker.trials[trial]
        running.waits = False
        if not goes_on(running.suggestion, running.event, decision):
            discard_unneeded(self._checkpoints, self._job, trial, running.event, decision)
            del worker.trials[trial]
            worker.started = [started for started in worker.started if started[0].trial != trial]
            worker.dropped.append(trial)

    def close(self) -> None:
        kill_and_join([worker.process for worker in self._workers])
        self._workers = []

    def _start_rounds(self) -> None:
        """Start the next rounds of all workers, or only that of a trial that must be alone on the machine."""
        alone = next((worker for worker in self._workers if self._needs_machine(worker)), None)
        if alone is None:
            for worker in self._workers:
                self._start_round(worker)
            return
        others = [worker for worker in self._workers if worker is not alone]
        if any(worker.in_round for worker in others):
            return
        for worker in others:
            worker.process.end()  # an idle process keeps its data in memory
            worker.is_ended = True
        self._start_round(alone)

    @staticmethod
    def _needs_machine(worker: _WorkerState) -> bool:
        """Whether the next round of a worker is that of a trial that must be alone on the machine, or it is running."""
        trials = [trial for trial in worker.suspects if trial in worker.trials][:1]
        return any(worker.trials[trial].attempt.alone_on == "host" for trial in trials)

    def _start_round(self, worker: _WorkerState) -> None:
        """Start the next round of a worker, with all trials that do not wait for a decision.

        The worker also learns which trials were started and dropped since its last round. Does nothing if a round is
        running or if no trial is ready.
        """
        ready = [trial for trial, running in worker.trials.items() if not running.waits]
        if worker.in_round or not ready:
            return
        if worker.is_ended:
            self._replace(worker)
        worker.suspects = [trial for trial in worker.suspects if trial in worker.trials]
        worker.in_round, worker.since = worker.suspects[:1] or ready, time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # `_receive` notices a worker that died
            worker.process.pipe.send((worker.dropped, worker.started, worker.in_round))
        worker.dropped, worker.started = [], []

    def _end_hung(self, worker: _WorkerState) -> list[Report | Crash]:
        """Replace the process of a worker that has hung.

        Returns the Crash of its trial. If several trials were in the round, they train one by one instead.
        """
        if self._report_timeout is None or not has_hung(worker.since, self._report_timeout * len(worker.in_round)):
            return []
        trials, worker.in_round = worker.in_round, []
        self._replace(worker)
        if len(trials) > 1:
            worker.suspects = trials
            return []
        running = worker.trials[trials[0]]
        running.event, running.waits = hung(trials[0], running.after, self._report_timeout), True
        return [running.event]

    def _receive(self, worker: _WorkerState) -> list[Report | Crash]:
        """Return the events of a round. They are empty if the worker died and its trials were started again.

        Raises a MachineError or a TaskError of the worker.
        """
        is_new = False
        try:
            answer: list[Report | Crash] | MachineError | TaskError = worker.process.receive()
        except EOFError:
            answer, is_new = self._replace_dead(worker), True
        if isinstance(answer, MachineError | TaskError):
            raise answer
        again = [event.trial for event in answer if isinstance(event, Crash) and self._tries_again(worker, event)]
        events = [self._ended(worker, event) for event in answer if event.trial not in again]
        worker.suspects = again + [trial for trial in worker.suspects if trial not in {each.trial for each in answer}]
        if answer:
            worker.deaths = 0
        if is_new:
            self._start_all(worker)
        elif again or any(isinstance(event, Crash) and "CUDA error" in event.error for event in answer):
            self._replace(worker)  # a CUDA error makes the device unusable for the rest of the process
        worker.in_round = []
        return events

    def _tries_again(self, worker: _WorkerState, crash: Crash) -> bool:
        """Whether a trial is tried again after a crash, because memory ran out. Its next attempt is noted."""
        running = worker.trials[crash.trial]
        settings = {**self._job.space.fixed, **running.suggestion.config}
        attempt = next_attempt(settings, running.attempt, crash)
        running.attempt = attempt or running.attempt
        return attempt is not None

    def _ended(self, worker: _WorkerState, event: Report | Crash) -> Report | Crash:
        """Note the event of a trial, which waits for the decision on it, and return it."""
        running = worker.trials[event.trial]
        if isinstance(event, Report):
            running.after = event.fidelity
            running.attempt = replace(running.attempt, alone_on=None)  # the next epoch is tried with others again
        else:
            event = final(running.attempt, event)
        running.event, running.waits = event, True
        return event

    def _replace_dead(self, worker: _WorkerState) -> list[Report | Crash]:
        """Replace the process of a worker that died.

        Returns the Crash of the trial that killed it, if that is known, otherwise an empty list.
        """
        worker.deaths += 1
        death = self._replace(worker)
        if worker.deaths < MAX_DEATHS and not death.is_oom_kill:
            return []
        if len(worker.in_round) > 1:
            worker.suspects = list(worker.in_round)
            return []
        (trial,) = worker.in_round
        after = worker.trials[trial].after
        return [killed(trial, after) if death.is_oom_kill else worker_died(trial, after, death.status)]

    def _replace(self, worker: _WorkerState) -> Death:
        """Start a new process, which takes over all trials, and return how the old one ended."""
        self._start_all(worker)
        worker.is_ended = False
        return worker.process.replace()

    def _start_all(self, worker: _WorkerState) -> None:
        """Start all trials of a worker with its next round, because its process is new."""
        worker.dropped = []
        worker.started = [
            (running.suggestion, running.after, running.attempt.micro_batches) for running in worker.trials.values()
        ]

"""The runner `ray` on a cluster to which this process is connected: it trains a trial on each slot.

If an actor or its node dies, its trial continues elsewhere from its checkpoint. If its actors die three times without a
new epoch in between, the trial has crashed. The death of a node does not count. A trial that runs out of memory is
tried again alone (`_ray_assignment.py`).

Only this process changes the checkpoints of the study, see `hpo/training/sent_checkpoints.py`.
"""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hpo import cache
from hpo.errors import HpoError, MachineError, TaskError
from hpo.runners import _ray_cluster
from hpo.runners._ray_assignment import assign, free_slots, goes_on_now
from hpo.runners._ray_deaths import check_can_start, check_version, is_trial_to_blame, killed_by, reason
from hpo.runners._ray_resources import SlotRequest
from hpo.runners._ray_slots import RunningTrial, Slot, Slots, namespace
from hpo.runners._ray_sync import FolderSync
from hpo.runners._ray_worker import Answer, Placement, WorkerSettings
from hpo.runners._runner import discard_unneeded, goes_on, has_hung, hung
from hpo.training import notices, slots_file
from hpo.training.builder import Job
from hpo.training.checkpoints import disk_errors
from hpo.training.out_of_memory import Attempt, final, killed, n_oom_kills, next_attempt
from hpo.training.prediction_files import PredictionFiles
from hpo.training.received_checkpoints import ReceivedCheckpoints
from hpo.training.sent_predictions import receive
from hpo.trial import Crash, Decision, Report, Suggestion

MAX_DEATHS = 3
"""A trial crashes if its actors die this many times without a new epoch in between."""
CHECK_SECONDS = 0.5
"""How long `events` waits at most."""
TOKEN = ".ray.tmp"
"""The end of the name of the file by which nodes recognise the folder of the study."""


@dataclass(frozen=True)
class RayRequest:
    """What a search needs from a cluster. It can be pickled."""

    job: Job
    checkpoints: Path
    """The folder of the checkpoints."""
    received: ReceivedCheckpoints
    """Where the checkpoints are kept."""
    uses: SlotRequest
    address: str | None = None
    """The address of the cluster, see `_ray_cluster.connect`."""
    report_timeout: float | None = None
    """The longest time without a report, in seconds. None is no limit."""
    folders: FolderSync = FolderSync(())  # noqa: RUF009 - it holds nothing that changes
    """What is sent to the nodes."""
    shares_folder: bool = True
    """Whether workers may write the folder of the checkpoints, if they see it."""
    count_oom_kills: Callable[[], int | None] = n_oom_kills
    """How many processes the kernel of a node has killed because memory ran out. It is called on the node."""


def opened(request: RayRequest, say: _ray_cluster.Say) -> tuple[Ray, str]:
    """Connect to the cluster, and return the runner and its summary."""
    runner = Ray(request, say)
    runner.open()
    return runner, runner.summary


class Ray:
    """Trains one trial on each slot."""

    def __init__(self, request: RayRequest, say: _ray_cluster.Say = _ray_cluster.silent) -> None:
        """`say` shows a line to the user."""
        self._request, self._say = request, say
        self._job, self._checkpoints, self._received = request.job, request.checkpoints, request.received
        self._report_timeout = request.report_timeout
        self._folders = request.folders
        self._running: dict[int, RunningTrial] = {}
        """The trials by their numbers, in the order in which they were started."""
        self._attempts: dict[int, Attempt] = {}
        """How trials must be trained that ran out of memory, by trial number. It holds when they are promoted, too."""
        self._slots: Slots | None = None
        self._token = self._checkpoints.parent / f".{uuid.uuid4().hex}{TOKEN}"
        self.summary = ""
        """What the slots are, for the user."""

    def open(self) -> Slots:
        """Connect to the cluster, start the actors and return their slots. What is done already is not done again."""
        if self._slots is not None:
            return self._slots
        _ray_cluster.connect(self._request.address, self._say)
        try:
            if self._request.shares_folder:
                with disk_errors(self._token):
                    self._token.touch()
            self._received.delete_unneeded()
            with _ray_cluster.lost_connection():
                nodes = _ray_cluster.nodes()
                wanted = self._request.uses.on(nodes, _ray_cluster.has_autoscaler)
                settings = self._worker_settings(wanted.resources)
                slots = Slots(self._job, settings, wanted, namespace(self._checkpoints), self._say)
                slots.resize()
            self._slots, self.summary = slots, wanted.summary(nodes)
            return slots
        except BaseException:
            self._disconnect()
            raise

    def free(self) -> int:
        idle = len(free_slots(self._slots, self._running.values())) if self._slots else 0
        queued = sum(running.is_queued for running in self._running.values())
        # If nothing trains, a trial may be started that waits for a slot, because the search loop needs one.
        return max(idle - queued, int(not self._running))

    def start(self, suggestion: Suggestion, *, after: int) -> None:
        self.open()
        attempt = self._attempts.get(suggestion.trial, Attempt())
        self._running[suggestion.trial] = RunningTrial(suggestion, after, attempt=attempt)

    def events(self) -> Iterable[Report | Crash]:
        slots = self._slots
        if slots is None or not self._running:
            raise HpoError("no trial is running, so nothing can happen")
        with _ray_cluster.lost_connection():
            return self._events(slots)

    def _events(self, slots: Slots) -> list[Report | Crash]:
        slots.write_counts(self._checkpoints)
        for slot in slots.resize():
            self._leave(slots, slot)
        self._place(slots)
        for running in assign(slots, self._running.values()):
            self._begin(running)
        events = [self._receive(slots, slot) for slot in slots.ready(CHECK_SECONDS)]
        events += [self._end_hung(slots, slot) for slot in slots.all()]
        self._place(slots)
        return [event for event in events if event is not None]

    def settle(self, trial: int, decision: Decision) -> None:
        running = self._running.get(trial)
        if running is not None and goes_on(running.suggestion, running.event, decision):
            if running.slot is None:
                running.is_queued = True
            elif goes_on_now(running, self._running.values()):
                running.slot.train(running.slot.actor.go_on.remote())
            elif self._slots is not None:
                self._leave(self._slots, running.slot)
                running.is_queued = True
            return
        if running is not None:
            del self._running[trial]
            if running.slot is not None:
                running.slot.trial = None
        event = running.event if running else None
        with self._received.discarding(trial):
            discard_unneeded(self._checkpoints, self._job, trial, event, decision)

    def close(self) -> None:
        if self._slots is not None:
            self._slots.close()
            self._slots, self._running = None, {}
            self._disconnect()

    def _disconnect(self) -> None:
        slots_file.remove(self._checkpoints)
        self._token.unlink(missing_ok=True)
        _ray_cluster.disconnect()

    def _worker_settings(self, resources: Mapping[str, float]) -> WorkerSettings:
        environment = {name: value for name, value in os.environ.items() if name.startswith("HPO_")}
        environment = cache.search_process() | environment
        n_threads, uses_gpu = max(1, int(resources.get("CPU", 1))), resources.get("GPU", 0) > 0
        folder, token = self._checkpoints.absolute(), self._token.absolute()
        count = self._request.count_oom_kills
        return WorkerSettings(folder, token, self._received.url, n_threads, uses_gpu, environment, count)

    def _place(self, slots: Slots) -> None:
        """Let slots train whose actor runs and whose node has the folders that are sent to it."""
        for slot in slots.arrived():
            if slot.arrival is not None and self._folders.is_done(slot.arrival.node):
                slot.placement, slot.oom_kills = slot.arrival, slot.arrival.oom_kills

    def _begin(self, running: RunningTrial) -> None:
        """Let a trial train its next epoch on its slot, from its checkpoint."""
        slot, trial = running.slot, running.suggestion.trial
        assert slot is not None
        assert slot.placement is not None
        given = self._received.given(trial, sees_folder=slot.placement.sees_folder)
        slot.began = slot.actor.ping.remote()
        parts = running.attempt.micro_batches
        slot.train(slot.actor.train.remote(running.suggestion, running.after, given, parts))

    def _leave(self, slots: Slots, slot: Slot) -> RunningTrial | None:
        """Drop a slot, and return its trial, which waits for another slot if it trained or was held."""
        slots.drop(slot)
        running = self._running.get(slot.trial) if slot.trial is not None else None
        if running is not None:
            running.is_queued = slot.answer is not None or running.is_held
            running.slot, running.is_held = None, False
        return running

    def _receive(self, slots: Slots, slot: Slot) -> Report | Crash | None:
        """Return the event of a slot whose call has returned or failed. None if it was placed or if its actor died."""
        ray = _ray_cluster.imported()
        try:
            returned = ray.get(slot.answer if slot.placed is None else slot.placed)
        except ray.exceptions.RayError as error:
            if slot.placement is None and not isinstance(error, ray.exceptions.ActorUnavailableError):
                check_can_start(error)
            return self._lose(slots, slot, error)
        if isinstance(returned, Placement):
            check_version(returned)
            slot.placed, slot.arrival = None, returned
            return None
        return self._take(slots, slot, returned)

    def _take(self, slots: Slots, slot: Slot, answer: Answer) -> Report | Crash | None:
        """Take the answer of a worker: write its predictions, checkpoints and notices, and return its event.

        None if the trial ran out of memory and is tried again.
        """
        assert slot.trial is not None
        assert slot.placement is not None
        running, event = self._running[slot.trial], answer.event
        slot.answer, slot.began, slot.oom_kills = None, None, answer.oom_kills
        has_ended = isinstance(event, Report) and (event.last or event.fidelity >= self._job.space.fidelity.high)
        if self._job.predictions is not None:
            receive(PredictionFiles(self._job.predictions), answer.predictions, after=running.after)
        self._received.receive(slot.trial, answer.changes, has_ended=has_ended)
        notices.add(self._checkpoints, answer.notices)
        if isinstance(event, TaskError) and slot.placement.host != platform.node():
            raise TaskError(f"on the node {slot.placement.host}: {event} (--ray-sync sends folders to nodes)")
        if isinstance(event, MachineError | TaskError):
            raise event
        if isinstance(event, Crash):
            if event.is_out_of_memory or "CUDA error" in event.error:
                self._leave(slots, slot)  # it keeps memory, and a CUDA error makes the device unusable for it
            return self._crashed(running, event)
        running.event, running.after, running.deaths = event, event.fidelity, 0
        return event

    def _crashed(self, running: RunningTrial, crash: Crash) -> Crash | None:
        """Return the Crash of a trial that ended with `crash`. None if it is tried again."""
        settings = {**self._job.space.fixed, **running.suggestion.config}
        if attempt := next_attempt(settings, running.attempt, crash):
            running.attempt = self._attempts[running.suggestion.trial] = attempt
            running.is_queued = True
            return None
        running.event, running.is_queued = final(running.attempt, crash), False
        return running.event

    def _lose(self, slots: Slots, slot: Slot, error: Exception) -> Crash | None:
        """Drop a slot whose actor has died. Returns the Crash of its trial if the trial is to blame, else None."""
        killer, is_to_blame = killed_by(slot, error, self._request.count_oom_kills), is_trial_to_blame(slot, error)
        running = self._leave(slots, slot)
        if running is None:
            return None
        if killer is not None:
            return self._crashed(running, killed(running.suggestion.trial, running.after, killer))
        if not is_to_blame:
            return None
        running.deaths += 1
        if running.deaths < MAX_DEATHS:
            return None
        text = f"its actor died {running.deaths} times after epoch {running.after}, at last: {reason(error)}"
        running.event, running.is_queued = Crash(running.suggestion.trial, "WorkerDied", text), False
        return running.event

    def _end_hung(self, slots: Slots, slot: Slot) -> Crash | None:
        """Drop a slot whose trial has hung, and return the Crash of the trial. None if it has not."""
        timeout = self._report_timeout
        if slot.answer is None or timeout is None or not has_hung(slot.since, timeout):
            return None
        prepares = slots.prepares_data(slot)
        if prepares:
            slot.train(slot.answer)  # the time begins anew
        if prepares is not False:
            return None
        running = self._leave(slots, slot)
        assert running is not None
        running.is_queued = False
        running.event = hung(running.suggestion.trial, running.after, timeout)
        return running.event

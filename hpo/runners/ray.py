"""The ray runner: trains one trial at a time in each of several Ray actors, on one machine or on a cluster.

A slot is an actor (`_ray_slots.py`), which imports torch and reads the data set once, then trains one trial after
another. Ray places it on a node that has the resources for it. If an actor or its node dies, its trial continues
elsewhere from its checkpoint. If its actors die three times without a new epoch in between, the trial has crashed. The
death of a node does not count.

Only this process changes the checkpoints of the study, see `hpo/training/sent_checkpoints.py`.
"""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from hpo import cache
from hpo.errors import HpoError, MachineError, TaskError, UserError
from hpo.runners import _ray_cluster, _ray_options
from hpo.runners._ray_deaths import check_can_start, check_version, is_trial_to_blame, reason
from hpo.runners._ray_resources import SlotRequest
from hpo.runners._ray_slots import RunningTrial, Slot, Slots, namespace
from hpo.runners._ray_sync import FolderSync
from hpo.runners._ray_worker import Answer, Placement, WorkerSettings
from hpo.runners._runner import discard_unneeded, goes_on, has_hung, hung
from hpo.training import notices, slots_file
from hpo.training.builder import Job
from hpo.training.checkpoints import disk_errors, prepare
from hpo.training.out_of_memory import final, next_attempt
from hpo.training.prediction_files import PredictionFiles, receive
from hpo.training.received_checkpoints import FolderCheckpoints, ReceivedCheckpoints
from hpo.training.url_checkpoints import UrlCheckpoints
from hpo.trial import Crash, Decision, Report, Suggestion

MAX_DEATHS = 3
"""A trial crashes if its actors die this many times without a new epoch in between."""
CHECK_SECONDS = 0.5
"""How long `events` waits at most."""
NOTHING_TO_SEND = FolderSync(())


def build(
    job: Job,
    checkpoints: Path,
    *,
    devices: str = "auto",
    slots: int | None = None,
    report_timeout: float | None = None,
    address: str | None = None,
    resources: str | None = None,
    checkpoint_url: str | None = None,
    sync: str | None = None,
) -> Ray:
    """Build a runner on a Ray cluster.

    Args:
        job, checkpoints: see `_runner.py`.
        devices: "auto", or "cpu" to use no GPU.
        slots: the largest number of slots. None is as many as there is room for.
        report_timeout: the longest time without a report, in seconds.
        address: `auto`, `HOST:PORT` or `ray://HOST:PORT`. None starts Ray on this machine, unless $RAY_ADDRESS is set.
        resources: what a slot takes, such as "gpu=0.5,cpu=2". By default one GPU and its share of the cores, or a core.
        checkpoint_url: where workers write checkpoints, as fsspec opens it. None is the folder, or this process if a
            node does not see the folder.
        sync: the paths of folders and files that are sent to each node that lacks them, with commas between them.

    Raises a UserError if there is no cluster at the address, if no node has the resources, if an option is wrong, or if
    the trainable of `job` cannot be sent.
    """
    options = _ray_options.read(address=address, resources=resources, checkpoint_url=checkpoint_url, sync=sync)
    job.check_can_be_sent()
    if devices not in ("auto", "cpu"):
        raise UserError(f"devices {devices}: the runner ray takes auto or cpu; resources, such as gpu=1, say the rest")
    prepare(checkpoints)
    received: ReceivedCheckpoints = FolderCheckpoints(checkpoints)
    if options.checkpoint_url is not None:
        url = f"{options.checkpoint_url.rstrip('/')}/{namespace(checkpoints)}"
        received = UrlCheckpoints(checkpoints, url)
    uses, folders = SlotRequest(devices, slots, options.resources), FolderSync(options.sync)
    runner = Ray(job, checkpoints, received, uses, options.address, report_timeout, folders=folders)
    runner.open()
    return runner


def check_options(**options: object) -> None:
    """Raise a UserError if the value of an option is wrong. Nothing is started."""
    _ray_options.read(**options)


class Ray:
    """Trains one trial on each slot."""

    def __init__(
        self,
        job: Job,
        checkpoints: Path,
        received: ReceivedCheckpoints,
        uses: SlotRequest,
        address: str | None = None,
        report_timeout: float | None = None,
        *,
        folders: FolderSync = NOTHING_TO_SEND,
        shares_folder: bool = True,
    ) -> None:
        """`folders` are sent to the nodes. Without `shares_folder`, no worker writes the folder of checkpoints."""
        self._job, self._checkpoints, self._received, self._uses = job, checkpoints, received, uses
        self._address, self._report_timeout, self._shares_folder = address, report_timeout, shares_folder
        self._folders = folders
        self._running: dict[int, RunningTrial] = {}
        """The trials by their numbers, in the order in which they were started."""
        self._slots: Slots | None = None
        self._token = checkpoints.parent / f".{uuid.uuid4().hex}.tmp"

    def open(self) -> Slots:
        """Connect to the cluster, start the actors and return their slots. What is done already is not done again."""
        if self._slots is not None:
            return self._slots
        _ray_cluster.connect(self._address)
        try:
            if self._shares_folder:
                with disk_errors(self._token):
                    self._token.touch()
            self._received.delete_unneeded()
            resources = self._uses.resources(_ray_cluster.nodes())
            settings = self._worker_settings(resources)
            with _ray_cluster.lost_connection():
                slots = Slots(self._job, settings, resources, self._uses.slots, namespace(self._checkpoints))
                slots.resize()
            self._slots = slots
            return slots
        except BaseException:
            self._disconnect()
            raise

    def free(self) -> int:
        idle = len(self._slots.idle()) if self._slots else 0
        queued = sum(running.is_queued for running in self._running.values())
        # If nothing trains, a trial may be started that waits for a slot, because the search loop needs one.
        return max(idle - queued, int(not self._running))

    def start(self, suggestion: Suggestion, *, after: int) -> None:
        self.open()
        self._running[suggestion.trial] = RunningTrial(suggestion, after)

    def events(self) -> Iterable[Report | Crash]:
        slots = self._slots
        if slots is None or not self._running:
            raise HpoError("no trial is running, so nothing can happen")
        with _ray_cluster.lost_connection():
            return self._events(slots)

    def _events(self, slots: Slots) -> list[Report | Crash]:
        slots.write_counts(self._checkpoints)
        for slot in slots.resize():
            self._leave(slots, slot, is_queued=slot.answer is not None)
        self._place(slots)
        self._assign(slots)
        events = [self._receive(slots, slot) for slot in slots.ready(CHECK_SECONDS)]
        events += [self._end_hung(slots, slot) for slot in slots.all()]
        self._place(slots)
        return [event for event in events if event is not None]

    def settle(self, trial: int, decision: Decision) -> None:
        running = self._running.get(trial)
        if running is not None and goes_on(running.suggestion, running.event, decision):
            if running.slot is not None:
                running.slot.train(running.slot.actor.go_on.remote())
            else:
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
        environment |= cache.search_process()
        n_threads, uses_gpu = max(1, int(resources.get("CPU", 1))), resources.get("GPU", 0) > 0
        folder, token = self._checkpoints.absolute(), self._token.absolute()
        return WorkerSettings(folder, token, self._received.url, n_threads, uses_gpu, environment)

    def _place(self, slots: Slots) -> None:
        """Let slots train whose actor runs and whose node has the folders that are sent to it."""
        for slot in slots.arrived():
            if slot.arrival is not None and self._folders.is_done(slot.arrival.node):
                slot.placement = slot.arrival

    def _assign(self, slots: Slots) -> None:
        """Let trials that wait for a slot train on free ones."""
        queued = [running for running in self._running.values() if running.is_queued]
        for slot, running in zip(slots.idle(), queued, strict=False):
            assert slot.placement is not None
            trial = running.suggestion.trial
            slot.trial, running.slot, running.is_queued, running.event = trial, slot, False, None
            given = self._received.given(trial, sees_folder=slot.placement.sees_folder)
            slot.began = slot.actor.ping.remote()
            parts = running.attempt.micro_batches
            slot.train(slot.actor.train.remote(running.suggestion, running.after, given, parts))

    def _leave(self, slots: Slots, slot: Slot, *, is_queued: bool) -> RunningTrial | None:
        """Drop a slot, and return its trial, which waits for another slot if `is_queued`."""
        slots.drop(slot)
        running = self._running.get(slot.trial) if slot.trial is not None else None
        if running is not None:
            running.slot, running.is_queued = None, is_queued
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

        None if the trial ran out of memory and is tried again by a new actor. It may not be alone there.
        """
        assert slot.trial is not None
        assert slot.placement is not None
        running, event = self._running[slot.trial], answer.event
        slot.answer = slot.began = None
        has_ended = isinstance(event, Report) and (event.last or event.fidelity >= self._job.space.fidelity.high)
        if self._job.predictions is not None:
            receive(PredictionFiles(self._job.predictions), answer.predictions)
        self._received.receive(slot.trial, answer.changes, has_ended=has_ended)
        notices.add(self._checkpoints, answer.notices)
        if isinstance(event, TaskError) and slot.placement.host != platform.node():
            raise TaskError(f"on the node {slot.placement.host}: {event} (--ray-sync sends folders to nodes)")
        if isinstance(event, MachineError | TaskError):
            raise event
        if isinstance(event, Crash):
            settings = {**self._job.space.fixed, **running.suggestion.config}
            if attempt := next_attempt(settings, running.attempt, event):
                running.attempt = attempt
                self._leave(slots, slot, is_queued=True)
                return None
            event = final(running.attempt, event)
        running.event = event
        if isinstance(event, Report):
            running.after, running.deaths = event.fidelity, 0
        elif (
            event.is_out_of_memory or "CUDA error" in event.error
        ):  # it makes the device unusable for the rest of the process
            self._leave(slots, slot, is_queued=False)
        return event

    def _lose(self, slots: Slots, slot: Slot, error: Exception) -> Crash | None:
        """Drop a slot whose actor has died. Returns the Crash of its trial if the trial is to blame, else None."""
        is_to_blame = is_trial_to_blame(slot, error)
        running = self._leave(slots, slot, is_queued=slot.answer is not None)
        if running is None or not is_to_blame:
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
        running = self._leave(slots, slot, is_queued=False)
        assert running is not None
        running.event = hung(running.suggestion.trial, running.after, timeout)
        return running.event

"""The slots of the runner `ray`: actors on the nodes of the cluster, as many as there is room for.

An actor has a name in a namespace of the study, and it is not detached: Ray ends it when the process that searches
ends. Ray may take a while to notice that, so a resumed search first kills what is left in its namespace.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import platform
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpo.runners import _ray_cluster, _ray_resources
from hpo.runners._alone import SlotLocation
from hpo.runners._ray_cluster import Say
from hpo.runners._ray_resources import WantedSlots
from hpo.runners._ray_worker import Placement, RayWorker, WorkerSettings, prepares_data
from hpo.training import slots_file
from hpo.training.builder import Job
from hpo.training.out_of_memory import Attempt
from hpo.training.slots_file import SlotCount
from hpo.trial import Crash, Report, Suggestion

FULL_SECONDS = 20.0
"""How long no actor may run before the user is told that the cluster is full."""
NODES_SECONDS = 1.0
"""How often the nodes of the cluster are looked up."""


@dataclass(eq=False)
class Slot:
    """An actor."""

    actor: Any
    placed: Any
    """The reference of the call of `placement`. None after it has returned."""
    arrival: Placement | None = None
    """Where the actor runs. None until it runs."""
    placement: Placement | None = None
    """Where it runs, once it can train: its node has the folders that are sent to it."""
    trial: int | None = None
    """The trial that has the slot. None if it is free."""
    began: Any = None
    """The reference of a call just before the first epoch of the trial. If it fails, the actor was dead before."""
    answer: Any = None
    """The reference of the call that trains. None while the trial waits for a decision."""
    since: float = 0.0
    """When the call that trains was made, as `time.monotonic`."""
    is_used: bool = False
    """Whether the actor has trained a trial."""
    oom_kills: int | None = None
    """The kernel's count of processes on the node that it killed for their memory, as the actor last sent it."""
    preparing: Any = None
    """The reference of the question whether data are prepared. None if it is not asked."""

    @property
    def place(self) -> SlotLocation:
        """Where the slot trains. It must have a placement."""
        assert self.placement is not None
        return SlotLocation(self.placement.node, frozenset(self.placement.gpus or ("cpu",)))

    def train(self, call: Any) -> None:
        """Note a call that trains an epoch."""
        self.answer, self.since, self.preparing, self.is_used = call, time.monotonic(), None, True


@dataclass
class RunningTrial:
    """A trial that trains, waits for a decision or waits for a slot."""

    suggestion: Suggestion
    after: int
    """The last epoch of the trial that was reported, or was on record when the trial started."""
    slot: Slot | None = None
    is_queued: bool = True
    """Whether the trial waits for a slot."""
    is_held: bool = False
    """Whether the trial has a slot, but waits until others of its place do not train."""
    event: Report | Crash | None = None
    """The last event of the trial."""
    attempt: Attempt = field(default_factory=Attempt)
    """How the trial is trained, if it ran out of memory before."""
    deaths: int = 0
    """How many actors of the trial have died since its last new epoch."""

    @property
    def place(self) -> SlotLocation:
        """Where its slot trains. The trial must have one."""
        assert self.slot is not None
        return self.slot.place


def namespace(checkpoints: Path) -> str:
    """Return the namespace in Ray of the actors of a study, by the folder of its checkpoints."""
    return "hpo-" + hashlib.sha256(f"{platform.node()}:{checkpoints.absolute()}".encode()).hexdigest()[:12]


class Slots:
    """The slots of one runner."""

    def __init__(self, job: Job, settings: WorkerSettings, wanted: WantedSlots, namespace: str, say: Say) -> None:
        """`say` shows a line to the user."""
        self._ray = _ray_cluster.imported()
        self._wanted, self._resources, self._namespace, self._say = wanted, wanted.resources, namespace, say
        self._prefix = f"slot-{uuid.uuid4().hex[:8]}"
        self._n_started = 0
        self._kill_left_over()
        self._arguments = self._ray.put(job), settings
        self._slots: list[Slot] = []
        self._resized = -math.inf
        self._began, self._is_full = time.monotonic(), False
        self._written: dict[str, SlotCount] = {}

    def all(self) -> list[Slot]:
        """Return all slots, also those whose actor does not run yet."""
        return list(self._slots)

    def arrived(self) -> list[Slot]:
        """Return the slots whose actor runs, but cannot train yet."""
        return [slot for slot in self._slots if slot.arrival is not None and slot.placement is None]

    def idle(self) -> list[Slot]:
        """Return the slots that a trial can have now."""
        return [slot for slot in self._slots if slot.placement is not None and slot.trial is None]

    def resize(self) -> list[Slot]:
        """Start actors for the room that the cluster has, and drop those that have none. Returns those on dead nodes.

        Nothing happens if this was done less than `NODES_SECONDS` ago.
        """
        if time.monotonic() - self._resized < NODES_SECONDS:
            return []
        self._resized = time.monotonic()
        self._note_if_full()
        nodes = _ray_cluster.nodes()
        alive = {node.id for node in nodes}
        dead = [slot for slot in self._slots if slot.arrival is not None and slot.arrival.node not in alive]
        wanted = self._wanted.number(nodes) + len(dead)
        for slot in self._slots[::-1]:
            if len(self._slots) > wanted and slot.arrival is None:
                self.drop(slot)
        while len(self._slots) < wanted:
            self._slots.append(self._start())
        return dead

    def write_counts(self, checkpoints: Path) -> None:
        """Write the slots on each machine for `hpo status`, if they have changed."""
        if (counts := self._counts()) != self._written:
            self._written = counts
            slots_file.write(checkpoints, counts)

    def _counts(self) -> dict[str, SlotCount]:
        """The number of slots on each machine, and how many of them have a trial."""
        counts: dict[str, SlotCount] = {}
        for slot in self._slots:
            if slot.arrival is not None:
                before = counts.get(slot.arrival.host, SlotCount(0, 0))
                counts[slot.arrival.host] = SlotCount(before.slots + 1, before.training + (slot.trial is not None))
        return counts

    def ready(self, seconds: float) -> list[Slot]:
        """Wait until some calls have returned or failed, and return their slots. Empty after so many seconds."""
        slots = {call: slot for slot in self._slots for call in (slot.placed, slot.answer) if call is not None}
        if not slots:
            time.sleep(seconds)
            return []
        calls = list(slots)
        ready, _ = self._ray.wait(calls, num_returns=1, timeout=seconds)
        if ready and len(calls) > 1:
            ready, _ = self._ray.wait(calls, num_returns=len(calls), timeout=0)
        return [slots[call] for call in ready]

    def drop(self, slot: Slot) -> None:
        """Kill the actor of a slot, if it lives. The next `resize` starts another one."""
        self._slots.remove(slot)
        self._resized = -math.inf
        with contextlib.suppress(Exception):
            self._ray.kill(slot.actor)

    def prepares_data(self, slot: Slot) -> bool | None:
        """Whether the actor of a slot prepares data for the store of its node. None if its node has not answered yet.

        The actor itself is busy, so a task on its node looks. False if the node cannot answer.
        """
        assert slot.placement is not None
        if slot.preparing is None:
            strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
                slot.placement.node, soft=False
            )
            task = self._ray.remote(prepares_data).options(num_cpus=0, max_retries=0, scheduling_strategy=strategy)
            slot.preparing = task.remote(slot.placement.process)
            return None
        try:
            return bool(self._ray.get(slot.preparing, timeout=0))
        except self._ray.exceptions.GetTimeoutError:
            return None
        except self._ray.exceptions.RayError:
            return False

    def close(self) -> None:
        """Kill all actors."""
        for slot in self.all():
            self.drop(slot)

    def _note_if_full(self) -> None:
        """Say once if no actor runs after a while: others may use the cluster."""
        if self._is_full or time.monotonic() - self._began < FULL_SECONDS:
            return
        self._is_full = True
        if not any(slot.arrival for slot in self._slots):
            slot = _ray_resources.written(self._resources)
            self._say(f"the Ray cluster has no room for a slot {slot} now; the search waits for it")

    def _start(self) -> Slot:
        self._n_started += 1
        actor = (
            self._ray.remote(RayWorker)
            .options(
                **_ray_resources.actor_options(self._resources),
                name=f"{self._prefix}-{self._n_started}",
                namespace=self._namespace,
                max_restarts=0,
                max_task_retries=0,
                scheduling_strategy="SPREAD",
            )
            .remote(*self._arguments)
        )
        return Slot(actor, actor.placement.remote())

    def _kill_left_over(self) -> None:
        """Kill the actors of an earlier search of this study that was killed."""
        for each in self._ray.util.list_named_actors(all_namespaces=True):
            if each["namespace"] == self._namespace:
                with contextlib.suppress(ValueError):  # it has ended meanwhile
                    self._ray.kill(self._ray.get_actor(each["name"], self._namespace))

"""Why an actor of the runner `ray` died: because of its trial, or with its node. And why one cannot start."""

from __future__ import annotations

from collections.abc import Callable

import hpo
from hpo.errors import UserError
from hpo.runners import _ray_cluster
from hpo.runners._ray_slots import Slot
from hpo.runners._ray_worker import Placement
from hpo.training import out_of_memory

NODE_DIED = "its node has died"
"""Is in Ray's message if an actor died together with its node."""
COUNT_SECONDS = 30.0
"""How long a node may take to say how many processes its kernel has killed. A busy one first starts a worker for it."""
MAX_REASON = 300
"""The longest part of Ray's message in the error of a trial, in characters."""


def is_trial_to_blame(slot: Slot, error: Exception) -> bool:
    """Whether an actor may have died because of its trial. `error` is Ray's error of the call that trained.

    A trial is not to blame if the node died or was preempted, if the node cannot be reached, or if the actor was dead
    before the trial began.
    """
    ray = _ray_cluster.imported()
    if slot.answer is None or getattr(error, "preempted", False) or NODE_DIED in str(error):
        return False
    if not isinstance(error, ray.exceptions.ActorDiedError):
        return False
    if slot.began is not None:
        try:
            ray.get(slot.began, timeout=0)
        except ray.exceptions.RayError:
            return False
    return slot.placement is not None and slot.placement.node in {node.id for node in _ray_cluster.nodes()}


def killed_by(slot: Slot, error: Exception, count: Callable[[], int | None]) -> str | None:
    """Return who killed an actor while it trained, because the memory of its node ran out. None if nobody did.

    Ray itself kills actors before a node is out of memory, and says so. If the kernel kills an actor, Ray only says
    that it has died. So a task on the node asks for `count`, the number of kills of the kernel, and it is compared with
    that of the actor's last answer (`out_of_memory.is_oom_kill`).
    """
    ray = _ray_cluster.imported()
    if slot.answer is None:
        return None
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return "Ray"
    if slot.oom_kills is None or not is_trial_to_blame(slot, error):
        return None
    assert slot.placement is not None
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(slot.placement.node, soft=False)
    task = ray.remote(call).options(num_cpus=0, max_retries=0, scheduling_strategy=strategy)
    try:
        now = ray.get(task.remote(count), timeout=COUNT_SECONDS)
    except ray.exceptions.RayError:
        return None
    return "the kernel" if out_of_memory.is_oom_kill(-9, slot.oom_kills, now) else None


def call(function: Callable[[], int | None]) -> int | None:
    """Call a function on a node."""
    return function()


def reason(error: Exception) -> str:
    """Return what Ray says about the death of an actor, in short."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    found = next((line for line in lines if line.startswith("The actor ") and " because " in line), lines[-1])
    return found if len(found) <= MAX_REASON else f"{found[:MAX_REASON]}..."


def check_can_start(error: Exception) -> None:
    """Raise a UserError if the actor of a slot failed because its node cannot run it, for example without hpo."""
    text = str(error)
    if getattr(error, "actor_init_failed", False) or "ModuleNotFoundError" in text or "failed to import" in text:
        lines = [line.strip() for line in text.splitlines() if "Error" in line]
        raise UserError(
            f"a node of the Ray cluster cannot start a worker: {lines[-1] if lines else text}; it needs the same "
            "packages as this machine, hpo among them"
        )


def check_version(placement: Placement) -> None:
    """Raise a UserError if a node has another version of hpo."""
    if placement.version != hpo.__version__:
        raise UserError(
            f"the node {placement.host} has hpo {placement.version}, but this machine has {hpo.__version__}: install "
            "the same version on all nodes"
        )

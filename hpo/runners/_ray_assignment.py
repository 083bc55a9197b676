"""Which queued trial of the runner `ray` gets which slot, and which trials may train now.

A trial that ran out of memory must be alone on its GPU or node (`_alone.py`). It gets the slot of a new actor, on the
GPU or node with the fewest other trials. These are held after their epoch: they give up their slots, and are queued.
"""

from __future__ import annotations

from collections.abc import Collection

from hpo.runners._alone import excludes, may_train
from hpo.runners._ray_slots import RunningTrial, Slot, Slots


def free_slots(slots: Slots, running: Collection[RunningTrial]) -> list[Slot]:
    """Return the slots that a trial can have now, and where no trial must be alone."""
    placed = _with_slot(running)
    return [slot for slot in slots.idle() if not any(excludes(trial, slot.place) for trial in placed)]


def assign(slots: Slots, running: Collection[RunningTrial]) -> list[RunningTrial]:
    """Give queued trials free slots, and return the trials that begin to train now: they are held no longer."""
    queued = [each for each in running if each.is_queued]
    for trial in sorted(queued, key=lambda each: each.attempt.alone_on is None):
        free = free_slots(slots, running)
        slot = next(iter(free), None) if trial.attempt.alone_on is None else _slot_to_be_alone(trial, free, running)
        if slot is None:
            continue
        if trial.attempt.alone_on is not None and slot.is_used:
            slots.drop(slot)  # a new actor takes its place, which holds no data and no memory of other trials
            continue
        slot.trial, trial.slot = trial.suggestion.trial, slot
        trial.is_queued, trial.is_held, trial.event = False, True, None
    return [trial for trial in _held(running) if _begins(trial, slots, running)]


def goes_on_now(trial: RunningTrial, running: Collection[RunningTrial]) -> bool:
    """Whether a trial that has a slot may train its next epoch, so that no other one must be alone there."""
    return may_train(trial, [each for each in _with_slot(running) if each is not trial])


def _slot_to_be_alone(trial: RunningTrial, free: list[Slot], running: Collection[RunningTrial]) -> Slot | None:
    """The slot where the fewest trials must be held, if possible that of a new actor. None if there is none."""

    def n_held(slot: Slot) -> int:
        return sum(each.place.overlaps(slot.place, trial.attempt.alone_on) for each in _with_slot(running))

    return min(free, key=lambda slot: (n_held(slot), slot.is_used), default=None)


def _begins(trial: RunningTrial, slots: Slots, running: Collection[RunningTrial]) -> bool:
    """Whether a held trial may train now. If so, it is held no longer, and idle actors of its place give up memory."""
    if not goes_on_now(trial, running):
        return False
    trial.is_held = False
    for slot in slots.idle():
        if slot.is_used and excludes(trial, slot.place):
            slots.drop(slot)
    return True


def _held(running: Collection[RunningTrial]) -> list[RunningTrial]:
    """The trials that have a slot, but do not train yet. First are those that must be alone."""
    held = [each for each in _with_slot(running) if each.is_held]
    return sorted(held, key=lambda each: each.attempt.alone_on is None)


def _with_slot(running: Collection[RunningTrial]) -> list[RunningTrial]:
    return [each for each in running if each.slot is not None]

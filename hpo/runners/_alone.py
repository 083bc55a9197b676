"""Trials that must be alone on their device or machine, because they ran out of memory there.

Other trials of this place are held: they do not train until the trial leaves its slot. `hpo/training/out_of_memory.py`
says which trials these are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from hpo.training.out_of_memory import Attempt


class SlotLocation(NamedTuple):
    """Where a slot trains."""

    machine: str
    devices: frozenset[str]
    """The devices of the slot on this machine. Slots with a device in common share its memory."""

    def overlaps(self, other: SlotLocation, where: str | None) -> bool:
        """Whether two slots share the memory at `where`: that of a GPU, or the main memory (`host`). None is none."""
        if where is None or self.machine != other.machine:
            return False
        return where == "host" or not self.devices.isdisjoint(other.devices)


class PlacedTrial(Protocol):
    """A trial that has a slot."""

    @property
    def attempt(self) -> Attempt:
        """How the trial is trained."""
        ...

    @property
    def place(self) -> SlotLocation:
        """Where its slot is."""
        ...

    @property
    def is_held(self) -> bool:
        """Whether the trial waits, without memory, until it may train."""
        ...


def excludes(trial: PlacedTrial, place: SlotLocation) -> bool:
    """Whether a trial must be alone, and so excludes those of another slot, which is at `place`."""
    return trial.place.overlaps(place, trial.attempt.alone_on)


def may_train(trial: PlacedTrial, others: Iterable[PlacedTrial]) -> bool:
    """Whether a trial may train now. One that must be alone waits until the others of its place are held."""
    if trial.attempt.alone_on is None:
        return not any(excludes(other, trial.place) for other in others)
    return all(other.is_held for other in others if excludes(trial, other.place) or excludes(other, trial.place))

from __future__ import annotations

from dataclasses import dataclass, field

from hpo.runners._alone import SlotLocation, excludes, may_train
from hpo.training.out_of_memory import Attempt


@dataclass
class TrialWithSlot:
    """A trial that has a slot."""

    place: SlotLocation
    attempt: Attempt = field(default_factory=Attempt)
    is_held: bool = False


def place(machine: str, *devices: str) -> SlotLocation:
    return SlotLocation(machine, frozenset(devices))


def test_a_trial_that_must_be_alone_on_its_gpu_excludes_only_slots_of_this_gpu() -> None:
    alone = TrialWithSlot(place("a", "0"), Attempt("gpu"))
    assert excludes(alone, place("a", "0"))
    assert excludes(alone, place("a", "0", "1"))
    assert not excludes(alone, place("a", "1"))
    assert not excludes(alone, place("b", "0"))


def test_a_trial_that_must_be_alone_on_its_machine_excludes_all_its_slots_and_no_other_machine() -> None:
    alone = TrialWithSlot(place("a", "0"), Attempt("host"))
    assert excludes(alone, place("a", "1"))
    assert not excludes(alone, place("b", "0"))
    assert not excludes(TrialWithSlot(place("a", "0")), place("a", "0"))


def test_a_trial_that_must_be_alone_waits_for_the_others_and_they_wait_for_it() -> None:
    alone, other = TrialWithSlot(place("a", "0"), Attempt("host")), TrialWithSlot(place("a", "1"))
    assert not may_train(alone, [other])
    assert not may_train(other, [alone])
    other.is_held = True
    assert may_train(alone, [other])
    assert may_train(other, [TrialWithSlot(place("b", "0"), Attempt("host"))])


def test_of_two_trials_that_must_be_alone_the_one_that_trains_goes_on() -> None:
    trains, waits = (
        TrialWithSlot(place("a", "0"), Attempt("gpu")),
        TrialWithSlot(place("a", "1"), Attempt("host"), is_held=True),
    )
    assert may_train(trains, [waits])
    assert not may_train(waits, [trains])

"""The plan of a test: which trials of a study it tests, by which protocol, and with how many seeds."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.errors import UserError, nearest
from hpo.heldout.protocols import CHECKPOINT, PROTOCOLS, RETRAIN
from hpo.heldout.record import TestRecord
from hpo.heldout.retraining import MAX_SEEDS
from hpo.record import StudyFolder


@dataclass(frozen=True)
class Plan:
    """Which models a test looks at. Raises a UserError for a wrong value."""

    top: int = 1
    """The number of the best trials to test."""
    seeds: int = 1
    """The number of trainings of each trial."""
    protocol: str = RETRAIN
    """`retrain`; `refit` to train on the validation images too; or `checkpoint` for the weights of the search."""

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise UserError(f"unknown protocol {self.protocol!r}{nearest(self.protocol, PROTOCOLS)}")
        if self.top < 1 or not 1 <= self.seeds <= MAX_SEEDS:
            raise UserError(
                f"top {self.top}, seeds {self.seeds}: each must be at least 1, the seeds at most {MAX_SEEDS}"
            )
        if self.protocol == CHECKPOINT and self.seeds > 1:
            raise UserError("the protocol checkpoint tests the weights of the search as they are: it has no seeds")


def tested_seeds(study: StudyFolder, protocol: str) -> int:
    """Return the largest number of seeds that a trial of a study was tested with by this protocol. 1 without a test.

    It is the default of the number of seeds, so that a test repeated without a number keeps what was tested.
    """
    trials = TestRecord.read(study).trials
    return max((len(tested.seeds) for tested in trials if tested.protocol == protocol), default=1)


def tested_protocol(study: StudyFolder) -> str:
    """Return the protocol of the latest test of a study. `retrain` without a test.

    It is the default of the protocol, so that a test repeated without one keeps what was tested.
    """
    trials = TestRecord.read(study).trials
    return trials[-1].protocol if trials else RETRAIN


BEST_ONLY = Plan()
"""The best trial, retrained once."""

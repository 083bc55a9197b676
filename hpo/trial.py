"""What passes between the backend, the runner and the ledger: plain frozen values, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

Scalar = bool | int | float | str | None
"""A value of a hyperparameter, as it stands in YAML and in JSON."""

Config = Mapping[str, Scalar]
"""The searched hyperparameters of one trial: those that are active, and no others."""


class Decision(Enum):
    """What becomes of a trial after a report."""

    CONTINUE = "continue"
    """Train the next epoch."""
    PAUSE = "pause"
    """Keep the checkpoint and free the slot: a later Suggestion may continue the trial."""
    STOP = "stop"
    """Delete the checkpoint: the trial will never be continued."""


@dataclass(frozen=True)
class Suggestion:
    """Train `trial` up to epoch `until`. A known number with a higher `until` continues that trial."""

    trial: int
    """Numbers count from 0 in the order in which trials are first suggested."""
    config: Config
    until: int
    """The epoch after which the trial waits for a decision; the top rung ends it."""
    bracket: int = 0
    notes: Mapping[str, Scalar] = field(default_factory=dict)
    """What the backend wants on record, such as BOHB's `model_based_pick`."""


@dataclass(frozen=True)
class Report:
    """One epoch of one trial."""

    trial: int
    fidelity: int
    """The epoch, counted from 1."""
    loss: float
    """The lowest objective so far (the best epoch is the stopping epoch); inf when there was none."""
    metrics: Mapping[str, float]
    """The raw values of this epoch: val_loss, val_accuracy, train_loss, train_accuracy, ..."""
    seconds: float
    """Wall time of training and validation."""
    last: bool = False
    """The trial ended itself here, by patience or because it diverged."""
    device: str = "cpu"
    """Where the epoch was trained: cpu, cuda:0, ..."""


@dataclass(frozen=True)
class Crash:
    """A trial that ended in an exception, or whose worker died."""

    trial: int
    kind: str
    """The class of the exception, or `WorkerDied`."""
    error: str
    """Its text, with the traceback where there is one."""

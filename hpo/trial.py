"""The messages between the backend, the runner and the ledger, as frozen dataclasses, and the rank of a loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, TypeAlias

Scalar = bool | int | float | str | None
"""A single value. YAML and JSON can hold it."""

Value: TypeAlias = "Scalar | tuple[Value, ...]"
"""A value of a hyperparameter: a single value, or a list of values, which is kept as a tuple."""

Config = Mapping[str, Value]
"""The active searched hyperparameters of one trial, with their values."""

Rank = tuple[float, float]
"""The rank of an epoch or trial: its objective, then its `val_loss`. The lowest is the best. `rank` computes it."""


class Decision(Enum):
    """What happens to a trial after a report."""

    CONTINUE = "continue"
    """Train the next epoch."""
    PAUSE = "pause"
    """Keep the checkpoint and free the slot: a later Suggestion may continue the trial."""
    STOP = "stop"
    """Delete the checkpoint: the trial will never continue."""


@dataclass(frozen=True)
class Suggestion:
    """An order to train `trial` up to epoch `until`.

    A new trial number starts a trial. The number of a paused trial with a higher `until` continues that trial.
    """

    trial: int
    """The number of the trial. Trials are numbered from 0, in the order of their first suggestion."""
    config: Config
    until: int
    """The epoch after which the trial waits for a decision. If it is the top rung, the trial ends there."""
    bracket: int = 0
    notes: Mapping[str, Scalar] = field(default_factory=dict)
    """Further values that the backend wants to record, such as BOHB's `model_based_pick`."""


@dataclass(frozen=True)
class Report:
    """The result of one epoch of one trial."""

    trial: int
    fidelity: int
    """The epoch, counted from 1."""
    loss: float
    """The lowest finite objective of the trial so far, inf if there is none yet. Its epoch is the stopping epoch."""
    metrics: Mapping[str, float]
    """The values of this epoch: val_loss, val_accuracy, train_loss, train_accuracy, ..."""
    seconds: float
    """The wall time of training and validation."""
    last: bool = False
    """Whether the trial ends itself here: by patience, because it diverged, or because its generator returned."""
    device: str = "cpu"
    """The device that trained the epoch: cpu, cuda:0, ..."""
    micro_batches: int | None = None
    """The number of parts of each batch, if the trial is trained so because its batches do not fit into memory."""
    # Memory is measured, and differs a little each time. So it does not decide whether two reports are equal.
    peak_host_gib: float | None = field(default=None, compare=False)
    """The most main memory of the trial in the epoch, in GiB: the sum over its processes. None if it is not known."""
    peak_gpu_gib: float | None = field(default=None, compare=False)
    """The most memory that tensors took on the GPU in the epoch, in GiB. None if it is not known or no GPU trained."""


@dataclass(frozen=True)
class EarlierTrial:
    """A trial of an earlier study, from which a search may learn."""

    config: Config
    values: Mapping[int, float]
    """The raw objective by epoch, in ascending order, at least one. It may be infinite or NaN.

    A trial that ended itself with a finite value has its lowest value at the last epoch of the study. A trial that
    crashed has NaN at the epoch after its last one.
    """


@dataclass(frozen=True)
class EarlierStudy:
    """What a search may learn from an earlier study, in terms of the space that is searched now."""

    name: str
    hyperparameters: tuple[str, ...]
    """The hyperparameters that both spaces search. The configurations of the trials have no others."""
    high: int
    """The last epoch of the earlier study."""
    trials: tuple[EarlierTrial, ...]
    """The trials whose values lie in the space. At least one has a finite value."""


PEAKS = ("peak_host_gib", "peak_gpu_gib")
"""The fields of a Report about memory, which are columns of the tables too."""

SETTINGS_AT_FAULT = ("WrongValue", "SetupError")
"""The kinds of a Crash that the hyperparameters or the task cause. Its first line says all, without a traceback."""

OUT_OF_MEMORY: Mapping[str, Literal["host", "gpu"]] = {"HostOutOfMemory": "host", "GpuOutOfMemory": "gpu"}
"""The kinds of a Crash of a trial that does not fit into memory, and where it ran out: the machine, or its GPU."""


@dataclass(frozen=True)
class Crash:
    """The end of a trial by an exception, or by the death of its worker."""

    trial: int
    kind: str
    """The class of the exception, `WorkerDied`, `Hung`, or one of OUT_OF_MEMORY."""
    error: str
    """The message of the exception, with its traceback if there is one."""

    @property
    def is_out_of_memory(self) -> bool:
        """Whether the trial does not fit into memory. It is infeasible then, and not a crash in the record."""
        return self.kind in OUT_OF_MEMORY

    @property
    def summary(self) -> str:
        """The first line of the error, after its kind. Without the kind if the line says all."""
        line = self.error.strip().partition("\n")[0]
        return line if self.kind in (*SETTINGS_AT_FAULT, *OUT_OF_MEMORY) else f"{self.kind}: {line}"


def valid_loss(loss: float) -> float:
    """Return a loss, or inf if it is not finite. A loss of minus infinity or NaN is an error, and ranks last."""
    return loss if math.isfinite(loss) else math.inf


def rank(loss: float, metrics: Mapping[str, float]) -> Rank:
    """Return the rank of an epoch with the objective `loss`. Everything that chooses a best epoch or trial uses it.

    Between equal objectives, such as two equal values of `val_error`, the lower `val_loss` in `metrics` decides.
    """
    return valid_loss(loss), valid_loss(metrics.get("val_loss", math.inf))


def is_better(
    loss: float, metrics: Mapping[str, float], best_loss: float, best_metrics: Mapping[str, float] | None
) -> bool:
    """Whether an epoch of a trial is better than the best before it, whose metrics are None for the first epoch.

    Each is given by its objective and metrics. Of equal epochs, the earlier is better. The losses of different phases
    cannot be compared, so the first epoch of a new phase is always better.
    """
    if best_metrics is None or metrics.get("phases_left") != best_metrics.get("phases_left"):
        return True
    return rank(loss, metrics) < rank(best_loss, best_metrics)

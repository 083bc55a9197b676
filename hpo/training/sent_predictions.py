"""The validation predictions of a worker that sends them with its reports, and how they become files of the study.

Only the process that searches writes the files, as for checkpoints (`sent_checkpoints.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from hpo.training import epoch_records
from hpo.training.best_logits import BestLogits
from hpo.training.prediction_files import Held, PredictionFiles, decode, encode_trial


class Write(NamedTuple):
    """What a worker sends with a report."""

    kind: Literal["targets", "logits", "epoch"]
    trial: int
    """-1 for the targets."""
    content: bytes


class SentPredictions:
    """The predictions of a worker that sends them with its reports. It has the methods by which files are written."""

    def __init__(self) -> None:
        self._writes: list[Write] = []

    def begin(self, trial: int, after: int) -> Held:
        """Return that nothing is held: this worker does not see the files. `receive` writes only what they lack."""
        return Held()

    def write(self, trial: int, best: BestLogits) -> None:
        """Send the logits of a trial. Those of an earlier epoch that were not sent yet are left out."""
        self._writes = [each for each in self._writes if (each.kind, each.trial) != ("logits", trial)]
        self._writes.append(Write("logits", trial, encode_trial(*best)))

    def write_epoch(self, trial: int, record: bytes) -> None:
        self._writes.append(Write("epoch", trial, record))

    def write_targets(self, content: bytes) -> None:
        self._writes.append(Write("targets", -1, content))

    def taken_writes(self) -> list[Write]:
        """Return what was written since the last call."""
        writes, self._writes = self._writes, []
        return writes


def receive(files: PredictionFiles, writes: Iterable[Write], *, after: int) -> None:
    """Write what a worker sent with a report. `after` is the last epoch on record before this report.

    After the loss of a checkpoint, a worker trains epochs again that are on record. They are not written, unless the
    files lack them. Raises a MachineError if the disk fails.
    """
    held: dict[int, Held] = {}
    for kind, trial, content in writes:
        if kind == "targets":
            files.write_targets(content)
            continue
        if trial not in held:
            held[trial] = files.begin(trial, after)
        if kind == "epoch":
            epoch = epoch_records.epoch_of(content)
            if epoch > after or epoch not in held[trial].epochs:
                files.write_epoch(trial, content)
            continue
        best = _best_logits(content)
        if best.epoch > after or not held[trial].has_best:
            files.write(trial, best)


def _best_logits(content: bytes) -> BestLogits:
    """Return what `encode_trial` has encoded."""
    arrays: dict[str, Any] = decode(content)
    return BestLogits(int(arrays["epoch"]), arrays["logits"], int(arrays["targets"]))

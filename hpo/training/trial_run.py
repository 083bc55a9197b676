"""One trial in training: its epochs, what they report, when it ends, and its checkpoint.

A checkpoint contains the state of the training and the reports of the last epochs. If the process is killed after an
epoch was saved but before it was recorded, the trial reports this epoch later without training it again. Reports before
the last ones are left out, so that an epoch of a long trial costs no more than one of a short trial.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hpo.errors import HpoError, TaskError
from hpo.space import SearchSpace
from hpo.space.objectives import ERRORS
from hpo.training.checkpoints import AnyCheckpoints
from hpo.training.early_stopping import EarlyStopping
from hpo.training.metrics import checked
from hpo.training.user_code.generator import has_returned
from hpo.trial import Report, Suggestion, is_better, valid_loss

if TYPE_CHECKING:
    from trainables.trainable import Trainable


N_REPORTS = 20
"""The number of reports in a checkpoint. With a longer `window` of early stopping, there are as many as that.

At most one of them is not on record when the process is killed, and those of the last second after a power failure.
"""


@dataclass(frozen=True)
class Surroundings:
    """What surrounds a trial while it is trained."""

    checkpoints: AnyCheckpoints
    device: str
    """The name of the device in the reports."""
    micro_batches: int | None
    """The number of parts of each batch, which is recorded in the reports. None if its batches are whole."""
    keep_predictions: Callable[[int, bool], None] | None
    """It is called with the number of each epoch, and whether it is the best so far, before its checkpoint is written.
    """


class TrialRun:
    """A trial in training. It starts at the epoch of its checkpoint.

    To train an epoch, call `trainable.step()` and pass the returned metrics to `add_epoch`. This writes the checkpoint
    and returns the report. So the trial may be interrupted after any report, and a later TrialRun continues it there.
    """

    def __init__(
        self,
        space: SearchSpace,
        suggestion: Suggestion,
        trainable: Trainable,
        surroundings: Surroundings,
        after: int,
    ) -> None:
        """Load the trial's checkpoint into `trainable`, which must be new.

        `after` is the last epoch that is on record. If the checkpoint is missing or damaged, or if it lacks a report
        that is not on record, the trial starts again at epoch 1.

        Raises a WrongValue if a hyperparameter of early stopping has a wrong value.
        """
        self.trainable = trainable
        self._space = space
        self._suggestion = suggestion
        self._checkpoints = surroundings.checkpoints
        self._surroundings = surroundings
        self._early_stopping = EarlyStopping.read({**space.fixed, **suggestion.config})
        self._progress = self._load_progress(after)

    @property
    def goes_on(self) -> bool:
        """Whether the trial has another epoch to train: it has not ended and has not reached `until`."""
        return self._progress.epoch < self._suggestion.until and not self._progress.ended

    def reports(self, after: int) -> list[Report]:
        """Return the reports of the epochs after epoch `after` that are trained already."""
        reports = self._progress.reports
        return [Report(trial=self._suggestion.trial, **each) for each in reports if each["fidelity"] > after]

    def check(self, after: int) -> None:
        """Raise an HpoError if the trial cannot report an epoch after epoch `after`, which is on record.

        This happens if the trial ended itself at epoch `after` or earlier.
        """
        if self._progress.epoch <= after and not self.goes_on:
            raise HpoError(f"the trial ended after epoch {self._progress.epoch}, but epoch {after} of it is on record")

    def add_epoch(
        self, metrics: Mapping[str, float], seconds: float, peaks: Mapping[str, float | None] | None = None
    ) -> Report:
        """Add an epoch, write the checkpoint, and return the report of the epoch.

        `metrics` is what `trainable.step()` returned, and `seconds` is how long it took. `peaks` are the fields of the
        report about memory, see `hpo.trial.PEAKS`.

        Raises a TaskError if `metrics` is not a mapping to numbers or lacks the objective.
        """
        was_best = self._progress.last_is_best
        self._progress.add(metrics, self._early_stopping, seconds, self._surroundings.device)
        if has_returned(self.trainable):
            self._progress.reports[-1]["last"] = True
        self._progress.reports[-1].update(peaks or {}, micro_batches=self._surroundings.micro_batches)
        self._save(was_best=was_best)
        if (release := getattr(self.trainable, "release_logits", None)) is not None:
            release()  # the trial may wait long for its next epoch
        return Report(trial=self._suggestion.trial, **self._progress.reports[-1])

    def _load_progress(self, after: int) -> Progress:
        """Load the checkpoint, if it can be used, and return the progress of the trial."""
        trial = self._suggestion.trial
        saved = self._checkpoints.read(trial)
        new = Progress(self._space.metric, max(N_REPORTS, self._early_stopping.window or 1))
        if saved is None:
            return new
        state = saved.pop("state")
        progress = replace(new, **{key: json.loads(v) if isinstance(v, str) else v for key, v in saved.items()})
        if progress.reports[0]["fidelity"] > after + 1:
            return new
        self.trainable.load_state_dict(state)
        if progress.last_is_best and self._has_ended(progress):
            self._checkpoints.keep_best(trial)  # a kill may have prevented this in `_save`
        return progress

    def _save(self, *, was_best: bool) -> None:
        """Write the checkpoint of the last epoch, and before it the predictions.

        After a kill between the two, the trial trains the same epoch again, and writes the same predictions.

        The checkpoint of the best epoch is kept just before a worse epoch overwrites it, or when the trial has ended.
        """
        trial, progress = self._suggestion.trial, self._progress
        if was_best and not progress.last_is_best:
            self._checkpoints.keep_best(trial)
        if self._surroundings.keep_predictions is not None:
            self._surroundings.keep_predictions(progress.epoch, progress.last_is_best)
        self._checkpoints.write(trial, {**progress.to_dict(), "state": self.trainable.state_dict()})
        if progress.last_is_best and self._has_ended(progress):
            self._checkpoints.keep_best(trial)

    def _has_ended(self, progress: Progress) -> bool:
        """Whether the trial will never train again. Then only the checkpoint of its best epoch is needed."""
        return progress.ended or progress.epoch >= self._space.fidelity.high


def recorded_micro_batches(checkpoints: AnyCheckpoints, trial: int) -> int | None:
    """Return the `micro_batches` of the last epoch in the checkpoint of a trial. None if there is none."""
    saved = checkpoints.read(trial)
    if saved is None:
        return None
    reports = json.loads(saved["reports"]) if isinstance(saved["reports"], str) else saved["reports"]
    found: int | None = reports[-1].get("micro_batches")
    return found


@dataclass
class Progress:
    """The last reports of a trial and the state of its early stopping.

    The names of the fields are keys of the checkpoint, except `objective`, `n_reports` and `_encoded`.
    """

    objective: str
    """The name of the metric that the search minimises."""
    n_reports: int
    """The number of reports that are kept."""
    reports: list[dict[str, Any]] = field(default_factory=list)
    """The reports of the last epochs."""
    reference: float = math.inf
    """The loss of the last improvement. A loss that is lower by more than the threshold is the next improvement."""
    stale: int = 0
    """The number of epochs since the last improvement."""
    best: dict[str, Any] | None = None
    """The report of the best epoch in the phase of the last epoch. Among equal epochs, the first is the best."""
    _encoded: list[str] = field(default_factory=list, init=False)
    """The reports, each as JSON. That of the last epoch is missing until its checkpoint is written."""

    def __post_init__(self) -> None:
        self._encoded = [json.dumps(report) for report in self.reports]
        if self.best is None:  # the checkpoints of earlier versions contain all reports instead
            for report in self.reports:
                self._update_best(report)

    def to_dict(self) -> dict[str, Any]:
        """Return the part of the checkpoint that `Progress` is created from. Reports are JSON.

        With plain dictionaries, torch.save would check each number for being a tensor.
        """
        self._encoded = [*self._encoded, json.dumps(self.reports[-1])][-len(self.reports) :]
        reports = f"[{', '.join(self._encoded)}]"
        return {"reports": reports, "best": json.dumps(self.best), "reference": self.reference, "stale": self.stale}

    @property
    def epoch(self) -> int:
        return int(self.reports[-1]["fidelity"]) if self.reports else 0

    @property
    def loss(self) -> float:
        return float(self.reports[-1]["loss"]) if self.reports else math.inf

    @property
    def phases_left(self) -> float | None:
        """The number of training phases that follow the phase of the last epoch. None if the training has no phases."""
        return self.reports[-1]["metrics"].get("phases_left") if self.reports else None

    @property
    def last_is_best(self) -> bool:
        """Whether the last epoch is the best of its phase so far. It is not if its loss is not finite."""
        return self.best is not None and self.loss < math.inf and self.best["fidelity"] == self.epoch

    @property
    def ended(self) -> bool:
        return bool(self.reports and self.reports[-1]["last"])

    def add(self, returned: Mapping[str, float], rule: EarlyStopping, seconds: float, device: str) -> None:
        """Add the report of an epoch.

        `returned` is what `step()` returned. Raises a TaskError if it is not a mapping to numbers or lacks the
        objective.
        """
        metrics = checked(returned, "step() of the trainable returned {}; it must return metrics")
        loss, best = valid_loss(objective(self.objective, metrics)), self.loss
        if metrics.get("phases_left") != self.phases_left:
            # A new phase starts from zero, because the losses of different phases cannot be compared.
            best, self.reference, self.stale = math.inf, math.inf, 0
        if loss < self.reference - rule.threshold:
            self.reference, self.stale = loss, 0
        elif not metrics.get("phases_left"):  # patience counts only in the last phase: the others only prepare for it
            self.stale += 1
        earlier = [report["metrics"] for report in self.reports]
        report = {
            "fidelity": self.epoch + 1,
            "loss": min(loss, best),
            "metrics": metrics,
            "seconds": seconds,
            "last": rule.ends(self.stale, metrics, earlier) or not math.isfinite(loss),
            "device": device,
        }
        self.reports = [*self.reports, report][-self.n_reports :]
        self._update_best(report)

    def _update_best(self, report: dict[str, Any]) -> None:
        """Take in a report in the order of the epochs."""
        metrics, best = report["metrics"], self.best["metrics"] if self.best else None
        if is_better(metrics[self.objective], metrics, best[self.objective] if best else math.inf, best):
            self.best = report


def objective(name: str, metrics: dict[str, float]) -> float:
    """Return the value to minimize, which is the metric `name` of a space. Raises a TaskError if `metrics` lacks it.

    If it is an error, it is computed as 1 minus its metric, and added to `metrics`: `val_error` from `val_accuracy`.
    """
    needed = ERRORS.get(name, name)
    if name in ERRORS and needed in metrics:
        metrics[name] = 1 - metrics[needed]
    if name not in metrics:
        others = [f"`objective: {each}`, which is 1 - {metric}" for each, metric in ERRORS.items() if metric in metrics]
        remedy = f"; or search with {others[0]}" if others else ""
        given = ", ".join(metrics) or "no metric"
        raise TaskError(f"the trainable returned no {needed!r}, but {given}; the search minimises {name}{remedy}")
    return metrics[name]

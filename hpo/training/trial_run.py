"""The course of one trial: its epochs one by one, what they report, when it ends, and its checkpoint.

A checkpoint holds the reports of the trial so far beside its state. So a trial whose last epochs were
trained but not recorded (the process was killed in between) reports them again without training them.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hpo.errors import HpoError, TaskError
from hpo.space import SearchSpace
from hpo.training.checkpoints import Checkpoints
from hpo.trial import Config, Report, Suggestion

if TYPE_CHECKING:
    from trainables.trainable import Trainable

HYPERPARAMETERS = {
    "patience": "epochs without improvement after which a trial ends itself, a whole number of at least 1",
    "threshold": "least drop of the objective that counts as an improvement for patience, at least 0",
    "window": "a trial ends itself when its validation accuracy exceeds none of so many before, at least 1",
}


class TrialRun:
    """A trial in training, at the epoch where its checkpoint is: take the metrics of one epoch after another.

    Whoever drives it steps `trainable` and hands on what the step returned; the report comes back with the
    checkpoint written, so the trial can be left after any report and goes on from there another time.
    """

    def __init__(
        self,
        space: SearchSpace,
        suggestion: Suggestion,
        trainable: Trainable,
        checkpoints: Checkpoints,
        device: str,
    ) -> None:
        """Set a fresh `trainable` to where its checkpoint is; a lost or damaged one is as good as none.

        Without it, the epochs on record are trained once more, and not reported. `device` goes on record.
        """
        self.trainable = trainable
        self._space = space
        self._suggestion = suggestion
        self._checkpoints = checkpoints
        self._device = device
        self._patience = patience({**space.fixed, **suggestion.config})
        self._progress = self._loaded()

    @property
    def goes_on(self) -> bool:
        """Whether there is another epoch to train up to `until`."""
        return self._progress.epoch < self._suggestion.until and not self._progress.ended

    def reports(self, after: int) -> list[Report]:
        """Those of the epochs after `after`, as far as the trial is."""
        return [Report(trial=self._suggestion.trial, **content) for content in self._progress.reports[after:]]

    def check(self, after: int) -> None:
        """An HpoError where the trial goes no further, and has not gone beyond epoch `after`, which is on record."""
        if self._progress.epoch <= after and not self.goes_on:
            raise HpoError(f"the trial ended after epoch {self._progress.epoch}, but epoch {after} of it is on record")

    def take(self, step: Mapping[str, float], seconds: float) -> Report:
        """Add an epoch with what `step()` returned and how long it took; write the checkpoint."""
        was_best = self._progress.at_best
        self._progress.add(step, self._space.objective, self._patience, seconds, self._device)
        self._save(was_best=was_best)
        return Report(trial=self._suggestion.trial, **self._progress.reports[-1])

    def _loaded(self) -> _Progress:
        trial = self._suggestion.trial
        saved = self._checkpoints.read(trial)
        if saved is None:
            return _Progress()
        self.trainable.load_state_dict(saved.pop("state"))
        progress = _Progress(**saved | {"reports": json.loads(saved["reports"])})
        if progress.at_best and self._is_over(progress):
            self._checkpoints.keep_best(trial)  # a kill may have come in between
        return progress

    def _save(self, *, was_best: bool) -> None:
        """Write the checkpoint; keep that of the best epoch when a worse one takes its place, or none follows."""
        trial, progress = self._suggestion.trial, self._progress
        if was_best and not progress.at_best:
            self._checkpoints.keep_best(trial)
        # One text, as torch asks of each number that it writes whether it is a tensor.
        reports = json.dumps(progress.reports)
        self._checkpoints.write(trial, {**vars(progress), "reports": reports, "state": self.trainable.state_dict()})
        if progress.at_best and self._is_over(progress):
            self._checkpoints.keep_best(trial)

    def _is_over(self, progress: _Progress) -> bool:
        """Whether the trial trains no further, so that of its checkpoints only the best will be kept."""
        return progress.ended or progress.epoch >= self._space.fidelity.high


@dataclass
class _Progress:
    """What must be known to go on; it stands in the checkpoint."""

    reports: list[dict[str, Any]] = field(default_factory=list)
    reference: float = math.inf
    """The loss that the next improvement is measured against."""
    stale: int = 0
    """Epochs since the last improvement."""

    @property
    def epoch(self) -> int:
        return len(self.reports)

    @property
    def loss(self) -> float:
        return float(self.reports[-1]["loss"]) if self.reports else math.inf

    @property
    def phase(self) -> float | None:
        """How many phases of the training are left after the last epoch; None where it has none."""
        return self.reports[-1]["metrics"].get("phases_left") if self.reports else None

    @property
    def at_best(self) -> bool:
        """Whether the last epoch is the best so far of its phase; of equals, the first is."""
        of_phase = [report for report in self.reports[-2:] if report["metrics"].get("phases_left") == self.phase]
        before = of_phase[0]["loss"] if len(of_phase) > 1 else math.inf
        return self.loss < before

    @property
    def ended(self) -> bool:
        return bool(self.reports and self.reports[-1]["last"])

    def add(self, step: Mapping[str, float], name: str, patience: Patience, seconds: float, device: str) -> None:
        """Add the report of an epoch, whose objective is called `name`."""
        if not isinstance(step, Mapping):
            raise TaskError(
                f"step() of the trainable returned {step!r}; it must return metrics, as {{'val_loss': 0.5}}"
            )
        metrics = {key: float(value) for key, value in step.items()}
        loss, best = objective(name, metrics), self.loss
        if metrics.get("phases_left") != self.phase:
            # What an earlier phase reached is no result of this one.
            best, self.reference, self.stale = math.inf, math.inf, 0
        if loss < self.reference - patience.threshold:
            self.reference, self.stale = loss, 0
        elif not metrics.get("phases_left"):  # a phase that only prepares for the last may take its time
            self.stale += 1
        report = {
            "fidelity": self.epoch + 1,
            "loss": loss if loss < best else best,
            "metrics": metrics,
            "seconds": seconds,
            "last": patience.is_spent(self, metrics) or not math.isfinite(loss),
            "device": device,
        }
        self.reports.append(report)


@dataclass(frozen=True)
class Patience:
    """When a trial ends itself."""

    epochs: int
    threshold: float
    window: int | None

    def is_spent(self, progress: _Progress, metrics: Mapping[str, float]) -> bool:
        """Whether the epoch with these metrics, the first that is not yet among the reports, is the last.

        By the window: its validation accuracy is no higher than the lowest of the `window` before it.
        """
        if progress.stale >= self.epochs:
            return True
        if self.window is None or "val_accuracy" not in metrics:
            return False
        phase = metrics.get("phases_left")
        before = [report["metrics"] for report in progress.reports[-self.window :]]
        before = [each["val_accuracy"] for each in before if each.get("phases_left") == phase]
        return len(before) == self.window and metrics["val_accuracy"] <= min(before)


def patience(settings: Config) -> Patience:
    """The patience that `settings` ask for; a SetupError names a wrong value and its key."""
    from trainables import hyperparameters

    return Patience(
        hyperparameters.whole(settings, "patience", default=sys.maxsize),
        hyperparameters.real(settings, "threshold", 0.0, hyperparameters.AT_LEAST_0),
        hyperparameters.optional(settings, "window"),
    )


def objective(name: str, metrics: dict[str, float]) -> float:
    """The value to minimise; val_error is added to the metrics. A TaskError where the trainable does not return it."""
    if name == "val_error" and "val_accuracy" in metrics:
        metrics["val_error"] = 1 - metrics["val_accuracy"]
    if name not in metrics:
        needed = "val_accuracy" if name == "val_error" else name
        remedy = (
            "; or search with `objective: val_error`, which is 1 - val_accuracy" if "val_accuracy" in metrics else ""
        )
        given = ", ".join(metrics) or "no metric"
        raise TaskError(f"the trainable returned no {needed!r}, but {given}; the search minimises {name}{remedy}")
    return metrics[name]

"""Early stopping: when a trial ends by itself, before the backend stops it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HYPERPARAMETERS = {
    "patience": "epochs without improvement after which a trial ends itself, at least 1; default no limit",
    "threshold": "least drop of the objective that counts as an improvement for patience, at least 0; default 0",
    "window": "a trial ends itself if its accuracy exceeds none of so many before, at least 1; default no limit",
}
RANGES = {"patience": "int >= 1", "threshold": "float >= 0", "window": "int >= 1"}
WHEN = {"threshold": {"patience": "given"}}


@dataclass(frozen=True)
class EarlyStopping:
    """The settings of early stopping."""

    epochs: int
    """The number of epochs without improvement after which a trial ends."""
    threshold: float
    """The decrease of the loss that an improvement must exceed."""
    window: int | None
    """The number of earlier epochs that the validation accuracy is compared with. None turns this rule off."""

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> EarlyStopping:
        """Read the hyperparameters of a trial. Raises a WrongValue, which names the hyperparameter, if one is wrong."""
        from trainables import hyperparameters

        return cls(
            hyperparameters.read_int(settings, "patience", default=sys.maxsize),
            hyperparameters.read_float(settings, "threshold", 0.0, hyperparameters.AT_LEAST_0),
            hyperparameters.read_optional_int(settings, "window"),
        )

    def ends(self, stale: int, metrics: Mapping[str, float], earlier: Sequence[Mapping[str, float]]) -> bool:
        """Whether a trial ends after the epoch with these `metrics`.

        `stale` is the number of epochs without improvement, with this one; `earlier` are the metrics of the epochs
        before. A trial ends for one of two reasons: `epochs` epochs brought no improvement, or the validation accuracy
        is no higher than the lowest of the `window` epochs before, all of the same phase.
        """
        if stale >= self.epochs:
            return True
        if self.window is None or "val_accuracy" not in metrics:
            return False
        phase = metrics.get("phases_left")
        before = [each["val_accuracy"] for each in earlier[-self.window :] if each.get("phases_left") == phase]
        return len(before) == self.window and metrics["val_accuracy"] <= min(before)

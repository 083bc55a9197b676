"""Training by gradient descent: one epoch, optimizers, schedules, losses, phases, folds and checkpoints.

It stands on `trainables.features` and `trainables.augmentation`. Regimes import it.
"""

from __future__ import annotations

from trainables.training.gradient_descent import Training, build

__all__ = ["Training", "build"]

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = ("trainables.training.gradient_descent",)

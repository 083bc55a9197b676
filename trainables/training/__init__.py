"""Training by gradient descent: epochs, optimizers, schedules, losses, phases, folds and checkpoints.

This package uses `trainables.features` and `trainables.augmentation`. Regimes and `trainables.fused` import it.
"""

from __future__ import annotations

from trainables.training.gradient_descent import Training, build

__all__ = ["Training", "build"]

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = ("trainables.training.gradient_descent",)

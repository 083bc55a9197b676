"""Training by gradient descent: one epoch, optimizers, schedules, losses, phases, folds and checkpoints.

It stands on `trainables.features` and `trainables.augmentation`. Regimes import it.
"""

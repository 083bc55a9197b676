"""Trials of a freeze-thaw search with given learning curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hpo.backends._freeze_thaw.steps import rungs
from hpo.backends._freeze_thaw.trials import Trials
from hpo.space import Fidelity
from hpo.trial import Report

Curve = Callable[[int], float]
"""The value at an epoch."""


def begin(n_trials: int, high: int) -> Trials:
    """Trials that have not trained yet."""
    trials = Trials(high, rungs(Fidelity(high)), "val_loss")
    for _ in range(n_trials):
        trials.add({}, np.zeros(1))
    return trials


def train(trials: Trials, number: int, until: int, curve: Curve, reason: str = "") -> None:
    """Train a trial to epoch `until`, and pause it."""
    first = trials[number].epoch + 1
    trials.start(number, until, reason)
    for epoch in range(first, until + 1):
        value = curve(epoch)
        trials.report(Report(number, epoch, value, {"val_loss": value}, 1.0))


def trained(curves: Sequence[Curve], until: int, high: int = 52) -> Trials:
    """A trial for each curve, each trained to epoch `until`."""
    trials = begin(len(curves), high)
    for number, curve in enumerate(curves):
        train(trials, number, until, curve)
    return trials

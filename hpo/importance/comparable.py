"""Values of trials that trained for different numbers of epochs, made comparable: all are carried to one epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from hpo.record import History, Trial
from hpo.results.best_so_far import comparable_value

N_COVERED = 5
"""The epoch at which trials are compared is the last one that so many trials reached, or all if there are fewer."""
LOG_RATIO = 30
"""Values are compared by their logarithm if all are positive, and most are spread over more than this ratio."""
FENCE = 1.5
"""A value that lies further above the upper quartile than this many interquartile ranges counts as if it lay there."""


@dataclass(frozen=True)
class Comparable:
    """The values of trials at one epoch."""

    trials: list[Trial]
    values: NDArray[np.float64]
    """(n_trials,): the lowest objective until `epoch`, carried to it if the trial ended earlier."""
    epoch: int
    n_carried: int
    """The number of trials that were carried."""
    is_log: bool
    """Whether `values` are natural logarithms."""
    n_clipped: int
    """The number of trials, such as diverged ones, whose value was lowered to the upper fence."""


def comparable(history: History) -> Comparable | None:
    """Carry the value of each trial to the last epoch that enough trials reached.

    None if no trial has a finite value until there.
    Crashed trials are left out. A trial that ended itself, by patience, has reached every later epoch with its best
    value. Any other trial that ended at an earlier epoch is carried: the median change of the trials that trained on is
    added for each epoch that it lacks. This is the fixed-effects estimate of the common learning curve. It takes
    differences only within trials, so it does not matter that the trials that train on are the better ones; it does
    assume that the others would have improved alike.
    """
    trials = [trial for trial in history.trials.values() if trial.crash is None and trial.reports]
    best = [_best_so_far(history, trial) for trial in trials]
    finite = [value for values in best for value in values if math.isfinite(value)]
    if not finite:
        return None
    is_log = min(finite) > 0 and float(np.quantile(finite, 0.95)) / min(finite) > LOG_RATIO
    if is_log:
        best = [[math.log(value) if math.isfinite(value) else value for value in values] for values in best]
    ended = [trial.reports[-1].last for trial in trials]
    lengths = [history.high if end else len(values) for values, end in zip(best, ended, strict=True)]
    epoch = sorted(lengths, reverse=True)[min(N_COVERED, len(lengths)) - 1]
    steps = _median_steps(best, epoch)
    values, n_carried = [], 0
    for curve, end in zip(best, ended, strict=True):
        reached = min(len(curve), epoch)
        carried = reached < epoch and not end
        n_carried += carried
        values.append(curve[reached - 1] + (sum(steps[reached:]) if carried else 0.0))
    if not np.isfinite(values).any():
        return None
    array, n_clipped = _clipped(np.array(values))
    return Comparable(trials, array, epoch, n_carried, is_log, n_clipped)


def _best_so_far(history: History, trial: Trial) -> list[float]:
    """The lowest objective of a trial until each of its epochs, inf before the first finite one."""
    return list(accumulate((comparable_value(history, report) for report in trial.reports), min))


def _median_steps(curves: Sequence[Sequence[float]], epoch: int) -> list[float]:
    """The median change from the epoch before to each epoch 1, 2, ... up to `epoch`; 0 for the first."""
    steps = [0.0]
    for i in range(1, epoch):
        changes = [curve[i] - curve[i - 1] for curve in curves if len(curve) > i and math.isfinite(curve[i - 1])]
        steps.append(float(np.median(changes)) if changes else 0.0)
    return steps


def _clipped(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """The values, none above the upper fence of the finite ones; and how many were lowered."""
    finite = values[np.isfinite(values)]
    lower, upper = np.quantile(finite, [0.25, 0.75])
    fence = upper + FENCE * max(upper - lower, 1e-12)
    return np.minimum(np.where(np.isfinite(values), values, np.inf), fence), int(np.sum(~(values <= fence)))

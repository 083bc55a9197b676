"""The decisions of Optuna's pruners, without a look at all earlier trials at each decision.

For each decision Optuna lists all trials of the study, so that a search or a replay of 10,000 trials would take minutes
for its decisions alone. The classes here keep the losses sorted instead. They decide as Optuna's do.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import defaultdict
from typing import Protocol

N_STARTUP_TRIALS = 5
"""The number of completed trials before the median stops any trial. It is the default of Optuna."""


class Pruner(Protocol):
    """Decides which of the trials of one bracket stop."""

    def stops(self, trial: int, step: int, loss: float) -> bool:
        """Whether a trial with this finite loss stops at this step. The steps of a trial rise."""
        ...

    def end(self, trial: int, *, stopped: bool) -> None:
        """Remove a trial that has ended. `stopped` says whether it was stopped."""
        ...


class SuccessiveHalvingPruner:
    """Optuna's SuccessiveHalvingPruner: a trial stops at a rung unless it is among the best 1/eta there so far."""

    def __init__(self, eta: int, first_rung: int) -> None:
        """The step of rung k is eta**(first_rung + k)."""
        self._eta = eta
        self._first_rung = first_rung
        self._losses: dict[int, list[float]] = defaultdict(list)
        """The losses of all trials that reached a rung, by rung, sorted."""
        self._rungs: dict[int, int] = defaultdict(int)
        """The next rung of each running trial."""

    def stops(self, trial: int, step: int, loss: float) -> bool:
        while step >= self._eta ** (self._first_rung + self._rungs[trial]):
            losses = self._losses[self._rungs[trial]]
            self._rungs[trial] += 1
            insort(losses, loss)
            # Fewer than eta trials promote one of them.
            if loss > losses[max(len(losses) // self._eta, 1) - 1]:
                return True
        return False

    def end(self, trial: int, *, stopped: bool) -> None:
        self._rungs.pop(trial, None)


class MedianPruner:
    """Optuna's MedianPruner: a trial stops if its best loss is above the median of the completed trials at a step."""

    def __init__(self) -> None:
        self._n_completed = 0
        self._completed: dict[int, list[float]] = defaultdict(list)
        """The losses of the completed trials by step, sorted."""
        self._running: dict[int, dict[int, float]] = defaultdict(dict)
        """The losses of each running trial by step."""
        self._best: dict[int, float] = {}
        """The lowest loss of each running trial."""

    def stops(self, trial: int, step: int, loss: float) -> bool:
        self._running[trial][step] = loss
        best = self._best[trial] = min(loss, self._best.get(trial, math.inf))
        completed = self._completed.get(step)
        return self._n_completed >= N_STARTUP_TRIALS and completed is not None and best > _median(completed)

    def end(self, trial: int, *, stopped: bool) -> None:
        losses = self._running.pop(trial, {})
        self._best.pop(trial, None)
        if not stopped:
            self._n_completed += 1
            for step, loss in losses.items():
                insort(self._completed[step], loss)


class NoPruner:
    """Stops no trial."""

    def stops(self, trial: int, step: int, loss: float) -> bool:
        return False

    def end(self, trial: int, *, stopped: bool) -> None: ...


def _median(sorted_values: list[float]) -> float:
    """The median of sorted values, with the rounding of NumPy's percentile, which Optuna calls."""
    low, high = sorted_values[(len(sorted_values) - 1) // 2], sorted_values[len(sorted_values) // 2]
    return high - (high - low) * 0.5

"""The best value of the objective so far in a search, after each epoch."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from operator import neg

from hpo.record import History
from hpo.trial import Report, valid_loss


class BestSoFar:
    """The lowest objective so far after each epoch, over all trials that did not crash in the end.

    Epochs of a phase that prepares for another count, but their objective does not: it cannot be compared.
    """

    def __init__(self, history: History, times: Sequence[float] = ()) -> None:
        """`times` is the time of each event in seconds, as `Ledger.times` has it. Without it, no time is known."""
        self.values: list[float] = []
        """The lowest objective after each epoch, in the order of the record. It is inf before the first finite one."""
        self.seconds: list[float] = []
        """The time of each of these epochs in seconds of search. Empty if no time is known."""
        for i, event in enumerate(history.events):
            if isinstance(event, Report) and history.trials[event.trial].crash is None:
                self.values.append(min(self.best, comparable_value(history, event)))
                if times:
                    self.seconds.append(times[i])

    @property
    def n_epochs(self) -> int:
        """The number of epochs, over all trials."""
        return len(self.values)

    @property
    def best(self) -> float:
        """The lowest objective, inf if there is none."""
        return self.values[-1] if self.values else math.inf

    def after(self, epochs: int) -> float:
        """The lowest objective after so many epochs, or at the end if there are fewer. `epochs` is at least 1."""
        return self.values[min(epochs, self.n_epochs) - 1] if self.values else math.inf

    def epochs_until(self, value: float) -> int | None:
        """The number of epochs until the objective is at most `value`. None if it never is."""
        n_above = bisect_left(self.values, -value, key=neg)
        return n_above + 1 if n_above < self.n_epochs else None


def comparable_value(history: History, report: Report) -> float:
    """The objective of an epoch, or inf if it is not finite or is of a phase that prepares for another."""
    return math.inf if report.metrics.get("phases_left") else valid_loss(history.objective_of(report))

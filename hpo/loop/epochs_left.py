"""How many epochs of a budget are left to suggest. A backend with the method `plan` learns it before each ask."""

from __future__ import annotations

import math

from hpo.record import AnyLedger, Budget

MIN_EPOCHS = 10
"""The pace is known after so many epochs of this run, the first one not counted."""


class EpochsLeft:
    """The epochs that the budget of a search leaves. It is built when the search loop starts."""

    def __init__(self, budget: Budget, ledger: AnyLedger) -> None:
        self._budget, self._ledger = budget, ledger
        self._n_before = ledger.history.n_epochs
        self._first: tuple[float, int] | None = None
        """The seconds and the number of epochs of the search when it had the first report of this run."""

    def count(self) -> int | None:
        """The number of epochs that may still be suggested: without those on record, and those that running trials get.

        A budget of time leaves as many as fit at the pace since the first report of this run. The time before it, in
        which workers start and features are computed, does not count. None if there is no budget of epochs or time, or
        if the pace is not known yet.
        """
        history = self._ledger.history
        left = [] if self._budget.epochs is None else [self._budget.epochs - history.n_epochs]
        if (by_time := self._by_time()) is not None:
            left.append(by_time)
        if not left:
            return None
        running = (history.trials[number] for number in history.running)
        return max(0, min(left) - sum(max(0, trial.until - trial.epoch) for trial in running))

    def _by_time(self) -> int | None:
        """The number of epochs for which there is time. None if that is not known."""
        n_epochs, elapsed = self._ledger.history.n_epochs, self._ledger.elapsed
        if self._budget.seconds is None or n_epochs == self._n_before:
            return None
        if self._first is None:
            self._first = elapsed, n_epochs
        began, n_first = self._first
        if n_epochs - n_first < MIN_EPOCHS or elapsed <= began:
            return None
        return math.floor((self._budget.seconds - elapsed) * (n_epochs - n_first) / (elapsed - began))

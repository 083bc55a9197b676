"""How many epochs of a budget are left to suggest. A backend with the method `plan` learns it before each ask."""

from __future__ import annotations

import math

from hpo.record import AnyLedger, Budget


def epochs_left(budget: Budget, ledger: AnyLedger) -> int | None:
    """The number of epochs that may still be suggested: without those on record, and those that running trials take.

    A budget of time is taken to end after as many epochs as it leaves time for at the mean pace so far. None if there
    is no budget of epochs or time, or if nothing is known of the pace.
    """
    history = ledger.history
    totals = [] if budget.epochs is None else [budget.epochs]
    if budget.seconds is not None and history.n_epochs and ledger.elapsed > 0:
        totals.append(math.floor(history.n_epochs * budget.seconds / ledger.elapsed))
    if not totals:
        return None
    running = (history.trials[number] for number in history.running)
    pending = sum(max(0, trial.until - trial.epoch) for trial in running)
    return max(0, min(totals) - history.n_epochs - pending)

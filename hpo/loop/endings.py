"""Why a search ends, in words."""

from __future__ import annotations

from hpo.quantities import duration, with_plural
from hpo.record import AnyLedger, Budget, History


def spent_budget(budget: Budget, ledger: AnyLedger) -> str | None:
    """The message that the budget of epochs or seconds is spent. None if it is not."""
    if budget.epochs is not None and ledger.history.n_epochs >= budget.epochs:
        return f"the budget of {with_plural(budget.epochs, 'epoch')} is spent"
    if budget.seconds is not None and ledger.elapsed >= budget.seconds:
        return f"the budget of {duration(budget.seconds)} is spent"
    return None


def spent_trials(budget: Budget) -> str:
    """The message that the budget of trials is spent."""
    return f"the budget of {with_plural(budget.trials, 'trial')} is spent"


def no_configuration_left(history: History) -> str:
    """The message that the backend has no configuration left. It does not claim that crashed trials were trained."""
    failed = [(len(history.crashed), "crashed"), (len(history.infeasible), "did not fit into memory")]
    words = [f"{n} of {history.n_trials} {what}" for n, what in failed if n]
    return f"every configuration was tried; {', '.join(words)}" if words else "every configuration is trained"

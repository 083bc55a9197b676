"""Crashed trials, and those that did not fit into memory, that are tried again by `--retry-crashed`.

The configuration of such a trial is queued, and a new trial takes it. The record says when that happened, so that a
replay queues it at the same moment.
"""

from __future__ import annotations

from hpo.backends._backend import Backend, TakesConfigurations
from hpo.errors import UserError
from hpo.loop.endings import spent_budget
from hpo.record import Budget, History, Ledger, Retry


def retry_crashed(backend: Backend, ledger: Ledger, budget: Budget) -> None:
    """Queue the configurations of all trials that crashed or did not fit into memory, and record it.

    Those that were tried again already are left out.

    The backend must have received all events of the ledger. Raises UserError if it takes no given configurations, or if
    the budget of epochs or time is spent, so that nothing would be trained.
    """
    history = ledger.history
    crashed = tuple(sorted(trial.number for trial in history.crashed + history.infeasible))
    if not crashed:
        return
    if not isinstance(backend, TakesConfigurations):
        raise UserError("this backend cannot try crashed trials again: it has no method `enqueue`")
    if spent := spent_budget(budget, ledger):
        raise UserError(f"{spent}, so crashed trials cannot be tried again: raise this budget (--epochs or --time)")
    event = Retry(crashed)
    ledger.retry(event)
    enqueue_retried(backend, ledger.history, event)


def enqueue_retried(backend: Backend, history: History, event: Retry) -> None:
    """Tell the backend of crashed trials that are tried again."""
    assert isinstance(backend, TakesConfigurations)
    for number in event.trials:
        backend.enqueue(history.trials[number].config)

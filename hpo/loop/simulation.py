"""A search on learning curves that are known: any backend, any number of slots, in simulated time.

It is the same loop as that of a real search (`hpo.loop.search.run`), on the simulated runner and a ledger in memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from hpo.backends._backend import Backend
from hpo.loop.search import run
from hpo.record import Budget, Event, History, MemoryLedger
from hpo.runners._known_trials import Curve, Curves, KnownCurves, KnownTrials, Seconds
from hpo.runners.simulated import Simulated
from hpo.space import SearchSpace
from hpo.trial import Report


def play(
    backend: Backend, space: SearchSpace, curve: Curve, *, slots: int = 1, epochs: int, seconds: float | Seconds = 1.0
) -> History:
    """Search until `epochs` epochs are reported or the backend has nothing left. Returns the history of the search.

    Args:
        backend: a new backend, of which nothing has been asked yet.
        space: what it searches. Its fidelity gives the top rung, its objective the metric that is minimised.
        curve: the metrics of a configuration after an epoch.
        slots: the number of trials that train at the same time.
        epochs: the number of epochs in all, over all trials. A promoted trial counts only its new epochs.
        seconds: the simulated time of an epoch: a constant, or a function of the configuration.

    Raises an HpoError if the backend breaks its protocol, and the errors of the search loop.
    """
    trials = Curves(space, KnownCurves(curve, seconds))
    return play_trials(backend, space, trials, slots=slots, budget=Budget(epochs=epochs))


def play_trials(
    backend: Backend,
    space: SearchSpace,
    trials: KnownTrials,
    *,
    slots: int = 1,
    budget: Budget,
    until: Callable[[History, Report], bool] | None = None,
) -> History:
    """Search as `play` does, where `trials` says what the trials report, until `budget` is spent.

    The search also ends when `until` returns True: it is called after each epoch.
    """
    ledger = MemoryLedger(space)

    def watch(event: Event, ledger: MemoryLedger) -> None:
        if until is not None and isinstance(event, Report) and until(ledger.history, event):
            raise _Ended

    with contextlib.suppress(_Ended):
        run(backend, Simulated(space, trials, slots=slots), ledger, budget, watch)
    return ledger.history


class _Ended(Exception):
    """Ends the search loop."""

"""The search loop.

backend.ask -> runner.start -> runner.events -> ledger.record -> backend.tell -> ledger.settle, runner.settle
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hpo.backends._backend import Answer, Backend, PlansForBudget
from hpo.errors import HpoError
from hpo.loop import checks, time_limit
from hpo.loop.endings import no_configuration_left, spent_budget, spent_trials
from hpo.loop.epochs_left import EpochsLeft
from hpo.loop.interrupts import deferred_interrupt
from hpo.record import AnyLedger, Budget, Event
from hpo.runners._runner import Runner, SimulatesTime
from hpo.trial import Crash, Decision, Report, Suggestion

L = TypeVar("L", bound=AnyLedger)


def run(
    backend: Backend,
    runner: Runner,
    ledger: L,
    budget: Budget,
    watch: Callable[[Event, L], None] | None = None,
    max_crashes: int | None = None,
) -> str:
    """Run the search loop until the budget is spent or no configuration is left. Returns why the search ended.

    The backend must have received all events of the ledger (see `replay`). Interrupted trials start again first.
    Raises an HpoError if the backend breaks its protocol, and the errors of `checks.crashes`, with `max_crashes`.
    """
    history = ledger.history
    show: Callable[[Event, L], None] = watch or (lambda *_: None)
    interrupted = [history.trials[number].suggestion for number in sorted(history.running)]
    history.crashes_in_a_row = history.infeasible_in_a_row = 0
    trials_are_spent = False
    if isinstance(runner, SimulatesTime):
        runner.restore(history.events, history.running)
        ledger.simulate_time(lambda: runner.now)
    left = EpochsLeft(budget, ledger)
    while True:
        if spent := spent_budget(budget, ledger):
            return spent
        answer: Answer = "wait"  # stays so if no slot is free, or if interrupted trials take all of them
        while runner.free():
            if interrupted:
                suggestion = interrupted.pop(0)
            else:
                trials_are_spent = budget.trials is not None and history.n_trials >= budget.trials
                answer = _ask(backend, left, new=not trials_are_spent)
                if not isinstance(answer, Suggestion):
                    break
                suggestion = answer
                checks.suggestion(suggestion, ledger)
                ledger.suggest(suggestion)
                show(suggestion, ledger)
            runner.start(suggestion, after=history.trials[suggestion.trial].epoch)
        if not history.running:
            checks.crashes(history, max_crashes, at_end=True)
            if answer == "wait":
                raise HpoError("the backend answered 'wait', but no trial is running")
            return spent_trials(budget) if trials_are_spent else no_configuration_left(history)
        for event in (
            runner.events_until(budget.seconds)
            if isinstance(runner, SimulatesTime)
            else time_limit.wait_for_events(runner, budget, ledger)
        ):
            _settle(event, backend, runner, ledger)
            show(event, ledger)
            checks.crashes(history, max_crashes)
            if spent := spent_budget(budget, ledger):
                return spent


def _ask(backend: Backend, left: EpochsLeft, *, new: bool) -> Answer:
    """Ask the backend for a suggestion. Raises an HpoError if its answer is of no allowed kind."""
    with deferred_interrupt():
        if isinstance(backend, PlansForBudget):
            backend.plan(left.count())
        answer = backend.ask(new=new)
    if not isinstance(answer, Suggestion) and answer not in ("wait", "done"):
        raise HpoError(f"the backend answered {answer!r}: neither a Suggestion, nor 'wait', nor 'done'")
    return answer


def _settle(event: Report | Crash, backend: Backend, runner: Runner, ledger: AnyLedger) -> None:
    """Record an event of a trial, and carry out what the backend decides on it."""
    ledger.record(event)
    with deferred_interrupt():
        decisions = backend.tell(event)
    checks.decisions(ledger.history, event, decisions)
    ledger.settle(event, decisions)
    for trial, decision in {event.trial: Decision.CONTINUE, **decisions}.items():
        runner.settle(trial, decision)

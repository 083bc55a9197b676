"""The replay, which resumes a study: a new backend gets the same calls as the record.

A backend with a slow model need not compute all its configurations again (`ReplayingBackend`). Then only some of them
are computed and compared with the record, and the others are taken from it:

- all of the first `N_FIRST`, all of the last `N_LAST`, and about `N_SPREAD` between them, evenly spread;
- of these, those that can be computed in `CHECK_SECONDS`, and the last one in any case.

All else is repeated and compared: the number, the epochs and the bracket of each suggestion, and each decision. Of a
backend with `takes_all_recorded`, all suggestions are taken from the record, and the backend checks them.
"""

from __future__ import annotations

import time

from hpo.backends._backend import Answer, Backend, ReplayingBackend
from hpo.errors import ReplayError
from hpo.loop.crashed_trials import enqueue_retried
from hpo.loop.interrupts import deferred_interrupt
from hpo.record import Decisions, Ledger, Retry
from hpo.space import SearchSpace
from hpo.trial import Crash, Decision, Report, Suggestion

_CHANGED = "; was a package or a plug-in changed since the study was begun? Its study.yaml lists the versions"

N_FIRST = 20
N_LAST = 10
N_SPREAD = 40
CHECK_SECONDS = 2.0


def replay(backend: Backend, ledger: Ledger) -> None:
    """Bring a new backend to the end of the record: repeat each recorded `ask` and `tell`.

    If the process was killed after it recorded an event but before it recorded the decisions on it, they are recorded
    now. Raises a ReplayError if an answer of the backend differs from the record.
    """
    events = tuple(ledger.history.events)
    asks = Asks(backend, ledger.space, sum(isinstance(event, Suggestion) for event in events))
    for position, event in enumerate(events):
        if isinstance(event, Suggestion):
            with deferred_interrupt():
                answer = asks.repeat(event)
            if answer != event:
                raise ReplayError(f"the record has {event}, but the backend now answers {answer}{_CHANGED}")
        elif isinstance(event, Retry):
            enqueue_retried(backend, ledger.history, event)
        elif isinstance(event, Report | Crash):
            with deferred_interrupt():
                decisions = backend.tell(event)
            following = events[position + 1] if position + 1 < len(events) else None
            recorded = following.decisions if isinstance(following, Decisions) else {}
            ended = {trial: fate for trial, fate in decisions.items() if fate is not Decision.CONTINUE}
            if following is None:
                ledger.settle(event, decisions)
            elif ended != recorded:
                raise ReplayError(f"after {event} the record has {recorded}, but the backend decides {ended}{_CHANGED}")


class Asks:
    """The calls of `ask` of a replay, and which of them are computed."""

    def __init__(self, backend: Backend, space: SearchSpace, n: int, seconds: float = CHECK_SECONDS) -> None:
        """`n` is the number of calls, and `seconds` the time for computing configurations."""
        self._backend = backend
        self._replaying = backend if isinstance(backend, ReplayingBackend) else None
        self._takes_all_recorded = getattr(backend, "takes_all_recorded", False)
        self._space = space
        self._n = n
        self._seconds = seconds
        self._seconds_spent = 0.0
        self._n_done = 0

    def repeat(self, recorded: Suggestion) -> Answer:
        """Repeat the next call, whose answer was `recorded`."""
        index = self._n_done
        self._n_done += 1
        if (
            self._replaying is None
            or (self._is_computed(index) and not self._takes_all_recorded)
            or self._space.problem(recorded.config) is not None
        ):
            started = time.monotonic()
            answer = self._backend.ask()
            self._seconds_spent += time.monotonic() - started
            return answer
        return self._replaying.replay(recorded)

    def _is_computed(self, index: int) -> bool:
        if index == self._n - 1:
            return True
        if index >= self._n - N_LAST:
            return self._seconds_spent < self._seconds
        between = max(1, (self._n - N_FIRST - N_LAST) // N_SPREAD)
        # Half of the time is kept for the last ones, which depend on the whole record.
        return (index < N_FIRST or index % between == 0) and self._seconds_spent < self._seconds / 2

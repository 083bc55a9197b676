"""A ledger in memory, for simulated searches. It has the methods of a Ledger that the search loop calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hpo.record.history import Decisions, History
from hpo.record.ledger import Ledger
from hpo.record.serialization import fidelity
from hpo.space import SearchSpace
from hpo.trial import Crash, Decision, Report, Suggestion


class MemoryLedger:
    """Keeps the history of one search. It writes nothing."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.history = History(space.fidelity.high, space.metric)
        self._now: Callable[[], float] = lambda: 0.0

    @property
    def elapsed(self) -> float:
        """The simulated time of the search in seconds. It is 0 until `simulate_time` is called."""
        return self._now()

    def simulate_time(self, now: Callable[[], float]) -> None:
        """Take the time of the search from `now`, in seconds."""
        self._now = now

    def suggest(self, suggestion: Suggestion) -> None:
        """Add that a trial starts or continues."""
        self.history.append(suggestion)

    def record(self, event: Report | Crash) -> None:
        """Add an epoch or a crash."""
        self.history.append(event)

    def settle(self, event: Report | Crash, decisions: Mapping[int, Decision]) -> None:
        """Add the backend's decisions on an event. Trials that continue are left out."""
        not_continued = {number: fate for number, fate in decisions.items() if fate is not Decision.CONTINUE}
        if not_continued:
            self.history.append(Decisions(event.trial, fidelity(event), not_continued))


AnyLedger = Ledger | MemoryLedger
"""What the search loop records in."""

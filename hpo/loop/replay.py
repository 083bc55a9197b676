"""The replay, which resumes a study: a new backend gets the same calls as the record."""

from __future__ import annotations

from hpo.backends._backend import Backend
from hpo.errors import ReplayError
from hpo.loop.interrupts import deferred_interrupt
from hpo.record import Decisions, Ledger
from hpo.trial import Crash, Decision, Report, Suggestion

_CHANGED = "; was a package or a plug-in changed since the study was begun? Its study.yaml lists the versions"


def replay(backend: Backend, ledger: Ledger) -> None:
    """Bring a new backend to the end of the record: repeat each recorded `ask` and `tell`.

    If the process was killed after it recorded an event but before it recorded the decisions on it, they are recorded
    now. Raises a ReplayError if an answer of the backend differs from the record.
    """
    events = tuple(ledger.history.events)
    for position, event in enumerate(events):
        if isinstance(event, Suggestion):
            with deferred_interrupt():
                answer = backend.ask()
            if answer != event:
                raise ReplayError(f"the record has {event}, but the backend now answers {answer}{_CHANGED}")
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

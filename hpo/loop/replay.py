"""Resume is replay: a fresh backend is asked and told what the record says that it was."""

from __future__ import annotations

from hpo.backends._backend import Backend
from hpo.errors import ReplayError
from hpo.record import Ledger, Settled
from hpo.trial import Crash, Decision, Report, Suggestion

_CHANGED = "; was a package or a plug-in changed since the study was begun? Its study.yaml lists the versions"


def replay(backend: Backend, ledger: Ledger) -> None:
    """Bring a fresh backend to where the record ends, by asking and telling what was asked and told.

    Where the process was killed between an event and the record of its decisions, they are recorded
    now. Raises ReplayError where an answer departs from the record.
    """
    events = tuple(ledger.history.events)
    for position, event in enumerate(events):
        if isinstance(event, Suggestion):
            answer = backend.ask()
            if answer != event:
                raise ReplayError(f"the record has {event}, but the backend now answers {answer}{_CHANGED}")
        elif isinstance(event, Report | Crash):
            decisions = backend.tell(event)
            following = events[position + 1] if position + 1 < len(events) else None
            recorded = following.decisions if isinstance(following, Settled) else {}
            ended = {trial: fate for trial, fate in decisions.items() if fate is not Decision.CONTINUE}
            if following is None:
                ledger.settle(event, decisions)
            elif ended != recorded:
                raise ReplayError(f"after {event} the record has {recorded}, but the backend decides {ended}{_CHANGED}")

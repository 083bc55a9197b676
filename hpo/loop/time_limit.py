"""The budget of time: it also ends a search whose trials send no report."""

from __future__ import annotations

import time

from hpo.alarm import interrupted_after
from hpo.record import AnyLedger, Budget
from hpo.runners._runner import Runner
from hpo.trial import Crash, Report

GRACE_SECONDS = 3.0
"""After the budget of time is spent, a running epoch may still end and be reported within this time."""


class TimeIsUp(BaseException):
    """The budget of time and the grace are over. It is no Exception, so that training code does not catch it."""


def wait_for_events(
    runner: Runner, budget: Budget, ledger: AnyLedger, *, grace: float = GRACE_SECONDS
) -> list[Report | Crash]:
    """Return the next events of a runner. Empty if there are none before the budget of time and the grace are over.

    It is also empty as soon as the runner has more free slots than before: the search can start trials on them.
    `grace` is in seconds.
    What trains then is interrupted when the caller closes the runner. It is no longer on record than after Ctrl-C.
    """
    left = None if budget.seconds is None else budget.seconds + grace - ledger.elapsed
    deadline = None if left is None else time.monotonic() + left
    n_free = runner.free()
    try:
        with interrupted_after(left, TimeIsUp):
            while not (events := list(runner.events())):
                if (deadline is not None and time.monotonic() >= deadline) or runner.free() > n_free:
                    break
    except TimeIsUp:
        return []
    return events

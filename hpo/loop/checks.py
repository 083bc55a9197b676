"""What the search does not take on trust: what a backend suggests and decides, and trials that crash.

`hpo/backends/_backend.py` says what a backend must keep to. One that does not would hang the search or
spoil its record; here it is named instead.
"""

from __future__ import annotations

from collections.abc import Mapping

from hpo.errors import HpoError, TaskError, TooManyCrashes
from hpo.record import History, Ledger, State
from hpo.trial import Crash, Decision, Report, Suggestion

MAX_CRASHES = 5
"""Crashes in a row that stop a study."""
WRONG_VALUE = "WrongValue"
"""The kind of the crash of a trial that has a hyperparameter with a value that cannot be."""
MAX_FIRST_CRASHES = 3
"""Crashes that stop a study in which no epoch was ever trained."""


def suggestion(asked: Suggestion, ledger: Ledger) -> None:
    """Raise an HpoError for a suggestion that lies outside the space, or is of no trial that could be continued."""
    trial = ledger.history.trials.get(asked.trial)
    problem = ledger.space.problem(asked.config)
    if trial is None and asked.trial != len(ledger.history.trials):
        problem = f"the next number is {len(ledger.history.trials)}"
    elif trial is not None and trial.state is not State.PAUSED:
        problem = f"trial {asked.trial} is {trial.state.value}, and only a paused one is promoted"
    elif asked.until <= (trial.epoch if trial else 0):
        problem = f"`until` must lie above epoch {trial.epoch if trial else 0}"
    if problem is not None:
        raise HpoError(f"the backend suggested {asked}: {problem}")


def decisions(history: History, event: Report | Crash, made: Mapping[int, Decision]) -> None:
    """Raise an HpoError where nobody decides on a trial that waits, or somebody on one that trains."""
    trial = history.trials[event.trial]
    decided = made.get(event.trial, Decision.CONTINUE)
    if trial.state is State.RUNNING and trial.epoch >= trial.until and decided is Decision.CONTINUE:
        raise HpoError(f"the backend decided nothing on trial {event.trial}, which waits at epoch {trial.until}")
    for number, decision in made.items():
        if number != event.trial and decision is not Decision.CONTINUE:
            other = history.trials.get(number)
            if other is None or other.state is State.RUNNING:
                raise HpoError(f"the backend settled trial {number} on an event of trial {event.trial}, but it trains")


def crashes(history: History, *, at_end: bool = False) -> None:
    """Raise TooManyCrashes after so many in a row; sooner, or at the end, in a study that never trained an epoch.

    There it is a TaskError where each crash is over a wrong value, which is the user's to mend.
    """
    at_first = history.n_epochs == 0 and history.n_crashes >= (1 if at_end else MAX_FIRST_CRASHES)
    if not at_first and history.crashes_in_a_row < MAX_CRASHES:
        return
    first = next(trial.crash for trial in history.trials.values() if trial.crash is not None)
    if at_first:
        what = "the first trial" if history.n_crashes == 1 else f"the first {history.n_crashes} trials"
    else:
        what = f"{history.crashes_in_a_row} trials in a row"
    if at_first and all(trial.crash is None or trial.crash.kind == WRONG_VALUE for trial in history.trials.values()):
        raise TaskError(f"{what} cannot be trained; trial {first.trial}: {first.error.partition(chr(10))[0]}")
    raise TooManyCrashes(f"{what} crashed; trial {first.trial} first, with {first.kind}: {first.error}")

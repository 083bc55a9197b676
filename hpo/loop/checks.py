"""Checks of the search loop: the task, the budget, what the backend suggests and decides, and how many trials crash.

A backend that breaks the rules of `hpo/backends/_backend.py` would hang the search or damage its record. With these
checks it ends the search with an error instead.
"""

from __future__ import annotations

from collections.abc import Mapping

from hpo.errors import HpoError, TaskError, TooManyCrashes, UserError
from hpo.record import AnyLedger, Budget, History, State
from hpo.space import SearchSpace
from hpo.training.user_code import Build
from hpo.trial import SETTINGS_AT_FAULT, Crash, Decision, Report, Suggestion

MAX_CRASHES = 5
"""The number of crashes in a row that end a search."""
MAX_INFEASIBLE = 50
"""The number of trials in a row that do not fit into memory and end a search. It would not end by itself otherwise."""
MAX_FIRST_CRASHES = 3
"""The number of crashes that end the search of a study without any trained epoch."""


def task(space: SearchSpace, trainable: Build | None) -> None:
    """Raise a UserError if there is nothing to train: no regime and no trainable."""
    if trainable is None and space.task.regime is None and "regime" not in space.domains:
        raise UserError(
            "nothing says what to train: the space needs a `task` with a `regime`, or, from Python, "
            "`hpo.search` needs a `trainable`"
        )


def new_budget(budget: Budget, *, prefix: str = "") -> None:
    """Raise a UserError if the budget of a new study lets nothing be trained.

    It names the argument of `hpo.search`, or with the `prefix` -- the option of `hpo search`.
    """
    for name, limit in {"trials": budget.trials, "epochs": budget.epochs, "time": budget.seconds}.items():
        if limit == 0:
            raise UserError(f"{prefix}{name} must be more than 0 for a new search, but is 0")


def at_least_one(**numbers: object) -> None:
    """Raise a UserError that names the first of some arguments that is no whole number of at least 1. None may be."""
    for name, number in numbers.items():
        if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
            raise UserError(f"{name} must be a whole number of at least 1, but is {number!r}")


def suggestion(asked: Suggestion, ledger: AnyLedger) -> None:
    """Raise an HpoError if a suggestion is wrong.

    Its configuration must lie in the search space. Its trial must be new, with the next number, or paused. Its `until`
    must lie above the last epoch of the trial.
    """
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
    """Raise an HpoError if the decisions that a backend made on an event are wrong.

    There must be a decision on the trial of the event if it has reached its `until`. There must be none on any other
    trial that trains.
    """
    trial = history.trials[event.trial]
    decided = made.get(event.trial, Decision.CONTINUE)
    if trial.state is State.RUNNING and trial.epoch >= trial.until and decided is Decision.CONTINUE:
        raise HpoError(f"the backend decided nothing on trial {event.trial}, which waits at epoch {trial.until}")
    for number, decision in made.items():
        if number != event.trial and decision is not Decision.CONTINUE:
            other = history.trials.get(number)
            if other is None or other.state is State.RUNNING:
                raise HpoError(f"the backend settled trial {number} on an event of trial {event.trial}, but it trains")


def crashes(history: History, max_crashes: int | None = None, *, at_end: bool = False) -> None:
    """Raise TooManyCrashes after `max_crashes` crashes in a row. None stands for `MAX_CRASHES`.

    In a study without any trained epoch, `max_crashes` crashes are enough (`MAX_FIRST_CRASHES` for None), or a single
    one at the end of the search. It is a TaskError then if the settings caused every crash, because the user can fix
    this. Crashed trials that were tried again do not count.

    Trials that do not fit into memory are no crashes: `MAX_INFEASIBLE` of them in a row raise TooManyCrashes.
    """
    if history.infeasible_in_a_row >= MAX_INFEASIBLE:
        last = history.infeasible[-1]
        reason = last.crash.summary if last.crash else ""
        raise TooManyCrashes(f"{MAX_INFEASIBLE} trials in a row did not fit into memory; trial {last.number}: {reason}")
    if history.n_epochs > 0 and history.crashes_in_a_row < (max_crashes or MAX_CRASHES):
        return  # after each event of a long search, not all trials are looked at
    crashed = [trial.crash for trial in history.crashed if trial.crash is not None]
    failed_to_start = history.n_epochs == 0 and len(crashed) >= (1 if at_end else max_crashes or MAX_FIRST_CRASHES)
    if not failed_to_start and history.crashes_in_a_row < (max_crashes or MAX_CRASHES):
        return
    first = crashed[0]
    if failed_to_start:
        what = "the first trial" if len(crashed) == 1 else f"the first {len(crashed)} trials"
    else:
        what = f"{history.crashes_in_a_row} trials in a row"
    message = first.error.partition("\n")[0]
    if failed_to_start and all(crash.kind in SETTINGS_AT_FAULT for crash in crashed):
        raise TaskError(f"{what} cannot be trained; trial {first.trial}: {message}")
    error = first.summary if first.kind in SETTINGS_AT_FAULT else f"{first.kind}: {first.error}"
    raise TooManyCrashes(f"{what} crashed; trial {first.trial} first, with {error}")

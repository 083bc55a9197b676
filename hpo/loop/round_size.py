"""A note before a search begins: its budget does not cover one round of the backend's brackets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from hpo import plugins
from hpo.quantities import with_plural
from hpo.record import Budget, Settings
from hpo.space import Fidelity, SearchSpace


def budget_note(space: SearchSpace, settings: Settings, budget: Budget) -> str | None:
    """A line that says what one round takes and what would fit, if the budget of trials or epochs is smaller.

    Returns None if the budget covers a round, or if the backend has no brackets (its module has no `round_brackets`).
    """
    brackets = getattr(plugins.load(plugins.BACKENDS, settings.backend), "round_brackets", None)
    sizes = _sizes(brackets, space.fidelity, settings.options) if brackets else []
    if not sizes or _fits(budget, space.fidelity, sizes):
        return None
    n_trials, n_epochs = _cost(space.fidelity, sizes)
    needed = {"trials": n_trials, "epochs": n_epochs}
    given = {name: n for name in needed if (n := getattr(budget, name)) is not None}
    fitting = [" and ".join(f"{name}={needed[name]}" for name in given)]
    if (smaller := _fitting_low(brackets, space.fidelity, settings.options, budget)) is not None:
        fitting.append(f"fidelity.low={smaller}")
    low, high = space.fidelity.rungs()[0], space.fidelity.high
    epochs, last = with_plural(n_epochs, "epoch"), with_plural(high, "epoch")
    budget_text = " and ".join(with_plural(n, name[:-1]) for name, n in given.items())
    what = "One bracket" if len(sizes) == 1 else f"One round of its {len(sizes)} brackets"
    return (
        f"{settings.backend} compares trials at epochs {low} to {high}. {what} takes "
        f"{with_plural(n_trials, 'trial')} and {epochs}, more than the budget of {budget_text}: "
        f"few trials, or none, will train for {last}. Fits: {', or '.join(fitting)}"
    )


def _sizes(brackets: Any, fidelity: Fidelity, options: Mapping[str, Any]) -> list[Sequence[int]]:
    """The number of trials at each rung of each bracket of a round. Brackets without a comparison are left out."""
    return list(brackets(len(fidelity.rungs()), fidelity.eta, options)) if len(fidelity.rungs()) > 1 else []


def _cost(fidelity: Fidelity, sizes: Sequence[Sequence[int]]) -> tuple[int, int]:
    """The numbers of trials and epochs of a round. A promoted trial trains only the epochs that it lacks."""
    n_epochs = 0
    for bracket in sizes:
        rungs = fidelity.rungs()[-len(bracket) :]
        added = (rungs[0], *(later - earlier for earlier, later in pairwise(rungs)))
        n_epochs += sum(n * epochs for n, epochs in zip(bracket, added, strict=True))
    return sum(bracket[0] for bracket in sizes), n_epochs


def _fits(budget: Budget, fidelity: Fidelity, sizes: Sequence[Sequence[int]]) -> bool:
    n_trials, n_epochs = _cost(fidelity, sizes)
    enough_trials = budget.trials is None or budget.trials >= n_trials
    return enough_trials and (budget.epochs is None or budget.epochs >= n_epochs)


def _fitting_low(brackets: Any, fidelity: Fidelity, options: Mapping[str, Any], budget: Budget) -> int | None:
    """The lowest first rung with which a round fits into the budget. None if only a single rung would fit."""
    for n_rungs in range(len(fidelity.rungs()) - 1, 1, -1):
        low = int(fidelity.high // fidelity.eta ** (n_rungs - 1))
        smaller = Fidelity(fidelity.high, low, fidelity.eta)
        if _fits(budget, smaller, _sizes(brackets, smaller, options)):
            return low
    return None

"""The epochs that a search may still suggest, and the backend that learns their number."""

from __future__ import annotations

import pytest

from hpo.backends._backend import Answer
from hpo.backends.freeze_thaw import FreezeThaw
from hpo.errors import UserError
from hpo.loop import build_backend
from hpo.loop.epochs_left import EpochsLeft
from hpo.loop.simulation import play
from hpo.record import Budget, MemoryLedger, Settings
from hpo.space import Fidelity, Float, SearchSpace
from hpo.trial import Decision, Report, Suggestion

SPACE = SearchSpace("line", {"x": Float(0, 1)}, Fidelity(9))


def with_one_running(elapsed: float = 0.0) -> MemoryLedger:
    """Trial 0 has trained for 3 epochs and paused, and trial 1 is at epoch 1 of 3."""
    ledger = MemoryLedger(SPACE)
    ledger.simulate_time(lambda: elapsed)
    for number, n_epochs in enumerate((3, 1)):
        ledger.suggest(Suggestion(number, {"x": 0.5}, 3))
        for epoch in range(1, n_epochs + 1):
            ledger.record(Report(number, epoch, 1.0, {"val_loss": 1.0}, 1.0))
    ledger.settle(Report(0, 3, 1.0, {"val_loss": 1.0}, 1.0), {0: Decision.PAUSE})
    return ledger


def test_a_budget_of_epochs_leaves_those_that_no_trial_has_or_gets() -> None:
    assert EpochsLeft(Budget(epochs=20), with_one_running()).count() == 20 - 4 - 2


def test_nothing_is_left_where_running_trials_get_all() -> None:
    assert EpochsLeft(Budget(epochs=5), with_one_running()).count() == 0


@pytest.mark.parametrize("budget", [Budget(), Budget(trials=5)])
def test_a_budget_of_trials_says_nothing_of_epochs(budget: Budget) -> None:
    assert EpochsLeft(budget, with_one_running()).count() is None


def test_a_budget_of_time_leaves_what_fits_at_the_pace_of_this_run() -> None:
    """The run begins at 4 epochs and 100 s, its first report comes 60 s later, and each further one after 2 s."""
    ledger = with_one_running(elapsed=100.0)
    left, both = (EpochsLeft(Budget(epochs=epochs, seconds=200), ledger) for epochs in (None, 15))
    ledger.suggest(Suggestion(2, {"x": 0.5}, 9))
    counts = []
    for n, trial in enumerate([2] * 9 + [1, 1]):
        ledger.simulate_time(lambda n=n: 160.0 + 2 * n)  # type: ignore[misc]
        ledger.record(Report(trial, n + 1 if trial == 2 else n - 7, 1.0, {"val_loss": 1.0}, 1.0))
        counts.append(left.count())
    assert counts[:10] == [None] * 10
    assert counts[10] == (200 - 180) / 2
    assert both.count() == 0


def test_the_search_tells_the_backend_before_each_ask() -> None:
    calls: list[object] = []

    class Listening(FreezeThaw):
        def plan(self, epochs_left: int | None) -> None:
            calls.append(epochs_left)
            super().plan(epochs_left)

        def ask(self, *, new: bool = True) -> Answer:
            calls.append("ask")
            return super().ask(new=new)

    history = play(Listening(SPACE, 0), SPACE, lambda config, epoch: {"val_loss": 1 / epoch}, epochs=30)
    assert history.n_epochs == 30
    assert calls[:4] == [30, "ask", 27, "ask"]
    assert set(calls[1::2]) == {"ask"}


def test_a_backend_that_plans_but_takes_no_recorded_suggestions_is_refused() -> None:
    with pytest.raises(UserError, match="a backend with the method `plan` needs `replay` and `takes_all_recorded`"):
        build_backend(SPACE, Settings(backend="tests.loop.planning_backend"))

"""The epochs that a search may still suggest, and the backend that learns their number."""

from __future__ import annotations

import pytest

from hpo.backends._backend import Answer
from hpo.backends.freeze_thaw import FreezeThaw
from hpo.loop.epochs_left import epochs_left
from hpo.loop.simulation import play
from hpo.record import Budget, MemoryLedger
from hpo.space import Fidelity, Float, SearchSpace
from hpo.trial import Decision, Report, Suggestion

SPACE = SearchSpace("line", {"x": Float(0, 1)}, Fidelity(9))


class Clock(MemoryLedger):
    """A ledger whose search has taken so many seconds."""

    def __init__(self, elapsed: float) -> None:
        super().__init__(SPACE)
        self.elapsed = elapsed


def with_one_running(elapsed: float = 0.0) -> MemoryLedger:
    """Trial 0 has trained for 3 epochs and paused, and trial 1 is at epoch 1 of 3."""
    ledger = Clock(elapsed)
    for number, n_epochs in enumerate((3, 1)):
        ledger.suggest(Suggestion(number, {"x": 0.5}, 3))
        for epoch in range(1, n_epochs + 1):
            ledger.record(Report(number, epoch, 1.0, {"val_loss": 1.0}, 1.0))
    ledger.settle(Report(0, 3, 1.0, {"val_loss": 1.0}, 1.0), {0: Decision.PAUSE})
    return ledger


def test_a_budget_of_epochs_leaves_those_that_no_trial_has_or_takes() -> None:
    assert epochs_left(Budget(epochs=20), with_one_running()) == 20 - 4 - 2


def test_nothing_is_left_where_running_trials_take_all() -> None:
    assert epochs_left(Budget(epochs=5), with_one_running()) == 0


def test_a_budget_of_time_leaves_what_fits_at_the_pace_so_far() -> None:
    """4 epochs in 8 seconds, so 50 seconds are enough for 25."""
    assert epochs_left(Budget(seconds=50), with_one_running(elapsed=8.0)) == 25 - 4 - 2
    assert epochs_left(Budget(epochs=10, seconds=50), with_one_running(elapsed=8.0)) == 10 - 4 - 2


@pytest.mark.parametrize("budget", [Budget(), Budget(trials=5)])
def test_a_budget_of_trials_says_nothing_of_epochs(budget: Budget) -> None:
    assert epochs_left(budget, with_one_running(elapsed=8.0)) is None


def test_a_budget_of_time_says_nothing_before_the_first_epoch() -> None:
    assert epochs_left(Budget(seconds=50), Clock(8.0)) is None


def test_the_search_tells_the_backend_before_each_ask() -> None:
    told: list[int | None] = []

    class Listening(FreezeThaw):
        def plan(self, epochs_left: int | None) -> None:
            told.append(epochs_left)
            super().plan(epochs_left)

        def ask(self, *, new: bool = True) -> Answer:
            assert len(told) == n_asks[0] + 1
            n_asks[0] += 1
            return super().ask(new=new)

    n_asks = [0]
    history = play(Listening(SPACE, 0), SPACE, lambda config, epoch: {"val_loss": 1 / epoch}, epochs=30)
    assert told[:2] == [30, 27]
    assert history.n_epochs == 30

"""What a search trains near the end of its budget."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from hpo.backends import freeze_thaw
from hpo.backends._freeze_thaw import budget_end
from hpo.backends._freeze_thaw.kernel import parameters, prior
from hpo.backends._freeze_thaw.model import Prediction
from hpo.backends._freeze_thaw.posterior import Posterior, empty_factor
from hpo.backends.freeze_thaw import FreezeThaw
from hpo.loop.simulation import play
from hpo.record import History, State
from hpo.space import Fidelity, Float, SearchSpace
from hpo.trial import Config, Report, Suggestion
from tests.backends.driving import line, number
from tests.backends.freeze_thaw.curves import Curve, train, trained


def falling(config: Config, epoch: int) -> dict[str, float]:
    """A loss that falls to the last epoch, and is lowest around 0.3."""
    return {"val_loss": 0.1 + (number(config, "x") - 0.3) ** 2 + 1 / (1 + epoch)}


def crossing(config: Config, epoch: int) -> dict[str, float]:
    """A loss whose early epochs order configurations with errors."""
    x, y, z = (number(config, name) for name in "xyz")
    early = (0.2 + z) * (1 / epoch - 1 / 27) + 0.3 * (1 - z) * math.cos(7 * x + 5 * y) / epoch
    return {"val_loss": 0.1 + (x - 0.3) ** 2 + (y - 0.6) ** 2 + early}


def level(value: float) -> Curve:
    """A curve that has the same value at all epochs."""
    return lambda epoch: value


def predicted(means: Sequence[float]) -> Prediction:
    """A prediction with these expected final values."""
    at, points = parameters(prior(1, 1).mean), np.zeros((len(means), 1))
    posterior = Posterior(empty_factor(at, points), np.zeros(0))
    return Prediction(posterior, 0.0, points, np.array(means), np.ones(len(means)))


@pytest.mark.parametrize("trainings", [1, 2, 5, 10])
@pytest.mark.parametrize("seed", range(3))
def test_the_best_trial_of_a_search_is_complete(seed: int, trainings: int) -> None:
    space = line(27)
    history = play(freeze_thaw.build(space, seed=seed), space, falling, epochs=27 * trainings)
    assert history.incumbent is not None
    assert history.incumbent.state is State.COMPLETE
    assert history.n_epochs == 27 * trainings


@pytest.mark.parametrize("slots", [2, 8])
def test_the_best_trial_of_a_search_on_several_slots_is_complete(slots: int) -> None:
    space = line(27)
    history = play(freeze_thaw.build(space, seed=0), space, falling, slots=slots, epochs=270)
    assert history.incumbent is not None
    assert history.incumbent.state is State.COMPLETE


def test_near_the_end_fewer_trials_begin_than_if_the_budget_is_unknown() -> None:
    """The last fifth of 10 full trainings has 54 epochs."""

    class Unplanned(FreezeThaw):
        def plan(self, epochs_left: int | None) -> None:
            pass

    space = SearchSpace("cube", {name: Float(0, 1) for name in "xyz"}, Fidelity(27))

    def n_begun(build: type[FreezeThaw]) -> int:
        histories = [play(build(space, seed), space, crossing, epochs=270) for seed in range(5)]
        return sum(first >= 270 - 54 for history in histories for first in _first_epochs(history))

    assert n_begun(FreezeThaw) < 0.7 * n_begun(Unplanned)


@pytest.mark.parametrize(
    ("spent", "left", "near"),
    [(0, 1000, False), (216, 54, False), (217, 53, True), (2000, 54, False), (2000, 53, True), (27, 6, True)],
)
def test_the_end_is_a_fifth_of_the_budget_but_at_most_two_trainings(spent: int, left: int, near: bool) -> None:
    trials = trained([level(1.0)], 1, high=27)
    trials.spent = spent
    assert budget_end.is_near(trials, left) == near


def test_the_favourite_takes_the_last_epochs_before_it_is_too_late() -> None:
    """It is at epoch 3 of 27, so it needs 24."""
    trials = trained([level(1.0), level(2.0)], 3, high=27)
    assert budget_end.finished(trials, 24, lambda: predicted([0.5, 0.2])) is None
    assert budget_end.finished(trials, 23, lambda: predicted([0.5, 0.2])) == 1
    assert budget_end.finished(trials, 23, lambda: predicted([0.1, 0.2])) == 0


def test_a_favourite_that_is_complete_or_trains_needs_nothing() -> None:
    trials = trained([level(1.0), level(2.0)], 3, high=27)
    train(trials, 0, 27, level(1.0))
    assert budget_end.finished(trials, 1, lambda: predicted([0.1, 0.2])) is None
    trials.start(1, 27, "")
    assert budget_end.finished(trials, 1, lambda: predicted([0.2, 0.1])) is None


def test_a_crashed_trial_is_no_favourite() -> None:
    trials = trained([level(1.0), level(2.0)], 3, high=27)
    trials.start(0, 5, "")
    trials.crash(0)
    assert budget_end.finished(trials, 10, lambda: predicted([0.1, 0.2])) == 1


def test_nothing_is_finished_where_nothing_is_predicted() -> None:
    assert budget_end.finished(trained([level(1.0)], 3, high=27), 1, lambda: None) is None


def _first_epochs(history: History) -> list[int]:
    """The number of epochs of the search before each trial began."""
    n_epochs, found = 0, dict[int, int]()
    for event in history.events:
        if isinstance(event, Suggestion):
            found.setdefault(event.trial, n_epochs)
        n_epochs += isinstance(event, Report)
    return list(found.values())

"""What a search trains near the end of its budget."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from hpo.backends._freeze_thaw import budget_end
from hpo.backends._freeze_thaw.budget_end import Kept
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

CUBE = SearchSpace("cube", {name: Float(0, 1) for name in "xyz"}, Fidelity(27))


class Unplanned(FreezeThaw):
    """A search that does not know its budget."""

    def plan(self, epochs_left: int | None) -> None:
        pass


def crossing(config: Config, epoch: int) -> dict[str, float]:
    """A loss whose early epochs order configurations with errors."""
    x, y, z = (number(config, name) for name in "xyz")
    early = (0.2 + z) * (1 / epoch - 1 / 27) + 0.3 * (1 - z) * math.cos(7 * x + 5 * y) / epoch
    return {"val_loss": 0.1 + (x - 0.3) ** 2 + (y - 0.6) ** 2 + early}


def n_complete(history: History) -> int:
    """The number of trials that reached the last epoch."""
    return sum(trial.state is State.COMPLETE for trial in history.trials.values())


def first_epochs(history: History) -> list[int]:
    """The number of epochs of the search before each trial began."""
    n_epochs, found = 0, dict[int, int]()
    for event in history.events:
        if isinstance(event, Suggestion):
            found.setdefault(event.trial, n_epochs)
        n_epochs += isinstance(event, Report)
    return list(found.values())


@pytest.mark.parametrize("slots", [1, 2, 4, 8])
@pytest.mark.parametrize("epochs", [60, 81, 120])
def test_a_search_ends_with_a_complete_trial(slots: int, epochs: int) -> None:
    for seed in range(2):
        history = play(FreezeThaw(CUBE, seed), CUBE, crossing, slots=slots, epochs=epochs)
        assert n_complete(history) >= 1
        assert history.n_epochs == epochs


@pytest.mark.parametrize("slots", [1, 4])
def test_a_search_that_does_not_know_its_budget_may_leave_all_trials_incomplete(slots: int) -> None:
    histories = [play(Unplanned(CUBE, seed), CUBE, crossing, slots=slots, epochs=60) for seed in range(4)]
    assert not all(map(n_complete, histories))


@pytest.mark.parametrize("slots", [1, 4])
def test_the_complete_trial_is_the_best_one(slots: int) -> None:
    """The loss falls to the last epoch, so the incumbent is complete."""
    space = line(27)

    def falling(config: Config, epoch: int) -> dict[str, float]:
        return {"val_loss": 0.1 + (number(config, "x") - 0.3) ** 2 + 1 / (1 + epoch)}

    for epochs in (60, 100):
        history = play(FreezeThaw(space, 0), space, falling, slots=slots, epochs=epochs)
        assert history.incumbent is not None
        assert history.incumbent.state is State.COMPLETE


@pytest.mark.parametrize("epochs", [3, 26, 27, 30])
def test_a_budget_in_which_no_trial_can_be_chosen_is_spent_on_several(epochs: int) -> None:
    """The fourth trial ends its first step with epoch 12. None of them can get 24 more."""
    history = play(FreezeThaw(CUBE, 0), CUBE, crossing, epochs=epochs)
    assert history.n_epochs == epochs
    assert len(history.trials) == min(8, math.ceil(epochs / 3))


@pytest.mark.slow
def test_near_the_end_fewer_trials_begin_than_if_the_budget_is_unknown() -> None:
    """The last fifth of 10 full trainings has 54 epochs."""

    def n_begun(build: type[FreezeThaw]) -> int:
        histories = [play(build(CUBE, seed), CUBE, crossing, epochs=270) for seed in range(5)]
        return sum(first >= 270 - 54 for history in histories for first in first_epochs(history))

    assert n_begun(FreezeThaw) < 0.7 * n_begun(Unplanned)


def test_a_search_that_trains_one_epoch_knows_its_end() -> None:
    space = line(1)
    history = play(FreezeThaw(space, 0), space, lambda config, epoch: {"val_loss": number(config, "x")}, epochs=12)
    assert n_complete(history) == 12


# The rules ---------------------------------------------------------------------------------------


def level(value: float) -> Curve:
    """A curve that has the same value at all epochs."""
    return lambda epoch: value


def predicted(means: Sequence[float]) -> Prediction:
    """A prediction with these expected final values."""
    at, points = parameters(prior(1, 1).mean), np.zeros((len(means), 1))
    posterior = Posterior(empty_factor(at, points), np.zeros(0))
    return Prediction(posterior, 0.0, points, np.array(means), np.ones(len(means)))


MEANS = (0.4, 0.1, 0.2, 0.3)


@pytest.mark.parametrize(
    ("spent", "left", "near"),
    [(0, 1000, False), (216, 54, False), (217, 53, True), (2000, 54, False), (2000, 53, True), (27, 6, True)],
)
def test_the_end_is_a_fifth_of_the_budget_but_at_most_two_trainings(spent: int, left: int, near: bool) -> None:
    trials = trained([level(1.0)], 1, high=27)
    trials.spent = spent
    assert budget_end.is_near_end(trials, left) == near


def test_the_epochs_of_running_trials_belong_to_the_budget() -> None:
    """53 of 53 + 1 + 216 epochs are less than a fifth."""
    trials = trained([level(1.0)], 1, high=300)
    assert not budget_end.is_near_end(trials, 53)
    trials.start(0, 217, "")
    assert budget_end.is_near_end(trials, 53)


@pytest.mark.parametrize(("left", "kept"), [(100, Kept(1, 24)), (24, Kept(1, 24)), (23, None)])
def test_the_trial_with_the_lowest_expected_value_keeps_its_epochs(left: int, kept: Kept | None) -> None:
    """All trials are at epoch 3 of 27."""
    trials = trained([level(1.0)] * 4, 3, high=27)
    assert budget_end.kept(trials, 0, left, lambda: predicted(MEANS)) == kept


def test_if_the_best_trial_cannot_reach_the_last_epoch_the_best_that_can_keeps_its_epochs() -> None:
    trials = trained([level(1.0)] * 4, 3, high=27)
    train(trials, 3, 13, level(1.0))
    train(trials, 0, 13, level(1.0))
    assert budget_end.kept(trials, 0, 20, lambda: predicted(MEANS)) == Kept(3, 14)


def test_a_running_trial_keeps_the_epochs_after_its_step() -> None:
    trials = trained([level(1.0)] * 4, 3, high=27)
    trials.start(1, 8, "")
    assert budget_end.kept(trials, 0, 20, lambda: predicted(MEANS)) == Kept(1, 19)
    trials = trained([level(1.0)] * 4, 3, high=27)
    trials.start(1, 27, "")
    assert budget_end.kept(trials, 0, 20, lambda: predicted(MEANS)) is None


def test_a_trial_that_has_ended_needs_no_epochs() -> None:
    trials = trained([level(1.0)] * 4, 3, high=27)
    train(trials, 1, 27, level(1.0))
    assert budget_end.kept(trials, 0, 100, lambda: predicted(MEANS)) is None


def test_crashed_diverged_and_unseen_trials_keep_nothing() -> None:
    curves = [level(1.0)] * 4 + [level(math.nan), level(1.0), level(1.0)]
    trials = trained(curves, 3, high=27)
    trials.start(5, 5, "")
    trials.crash(5)
    for n in range(4):
        train(trials, n, 5, level(1.0))
    means = (*MEANS, 0.0, 0.0, 0.0)
    assert budget_end.kept(trials, 5, 100, lambda: predicted(means)) == Kept(1, 22)
    assert budget_end.kept(trials, 0, 100, lambda: predicted(means)) == Kept(6, 24)


def test_with_too_few_trials_or_without_a_prediction_nothing_is_kept() -> None:
    trials = trained([level(1.0)] * 3, 3, high=27)
    assert budget_end.kept(trials, 0, 100, lambda: predicted(MEANS[:3])) is None
    trials = trained([level(1.0)] * 4, 3, high=27)
    assert budget_end.kept(trials, 0, 100, lambda: None) is None

from __future__ import annotations

import math
import random

import pytest

from hpo.importance import Importance, analyse
from hpo.record import History
from hpo.trial import Config, Report, Suggestion
from tests.importance.histories import (
    SPACE,
    Epochs,
    all_nine,
    conditional,
    interaction,
    nothing,
    number,
    only_a,
    searched,
)


def found(importance: Importance) -> set[str]:
    """The hyperparameters that stand out."""
    return {effect.name for effect in importance.effects if effect.stands_out}


def early(trial: int) -> int:
    """No trial comes near the last epoch."""
    return (1, 1, 1, 3)[trial % 4]


@pytest.mark.parametrize("epochs", [all_nine, early])
def test_the_one_hyperparameter_that_matters_is_found_also_from_stopped_trials_alone(epochs: Epochs) -> None:
    importance = analyse(SPACE, searched(only_a, 40, epochs))
    assert found(importance) == {"a"}
    assert importance.effects[0].total.mean > 0.8
    assert importance.epoch == epochs(3)


def test_the_partial_dependence_is_lowest_where_the_function_is() -> None:
    curve = analyse(SPACE, searched(only_a, 60)).effects[0].curve
    best = min(range(len(curve.values)), key=lambda i: curve.objective[i].mean)
    value = curve.values[best]
    assert isinstance(value, float)
    assert abs(value - 0.3) < 0.15
    spread = curve.objective[best]
    assert spread.low <= spread.mean <= spread.high
    assert abs(spread.mean - 2 / 9) < 0.2  # in the unit of the objective, at the last epoch


@pytest.mark.slow
def test_an_interaction_shows_in_the_total_and_not_in_the_main_effect() -> None:
    importance = analyse(SPACE, searched(interaction, 200))
    assert {"a", "b"} <= found(importance)
    for effect in importance.effects[:2]:
        assert effect.total.mean > 0.6
        assert effect.main.mean < 0.25


@pytest.mark.slow
def test_a_conditional_hyperparameter_is_judged_where_it_is_active() -> None:
    importance = analyse(SPACE, searched(conditional, 150))
    assert found(importance) == {"kind", "m"}
    curve = next(effect.curve for effect in importance.effects if effect.name == "m")
    assert curve.objective[0].mean > curve.objective[len(curve.values) // 3].mean


@pytest.mark.parametrize("seed", range(3))
def test_noise_alone_is_said_to_tell_nothing(seed: int) -> None:
    importance = analyse(SPACE, searched(nothing, 60, seed=seed))
    assert importance.effects == ()
    assert importance.reason is not None
    assert "60 trials do not tell" in importance.reason


def test_a_few_trials_are_said_to_tell_nothing() -> None:
    assert "5 trials do not tell" in str(analyse(SPACE, searched(only_a, 5)).reason)
    assert "0 trials do not tell" in str(analyse(SPACE, searched(only_a, 0)).reason)


def test_crashed_trials_are_left_out() -> None:
    importance = analyse(SPACE, searched(only_a, 40, crash_every=4))
    assert importance.n_trials == 30
    assert found(importance) == {"a"}


def test_the_same_trials_give_the_same_answer() -> None:
    history = searched(only_a, 30)
    assert analyse(SPACE, history) == analyse(SPACE, history)


def far_apart(config: Config, rng: random.Random) -> float:
    """Values over five orders of magnitude: 1e-2 to 1e3."""
    return math.pow(10, 5 * number(config, "a") - 2)


def test_the_average_of_values_far_apart_is_called_typical_because_it_is_a_geometric_mean() -> None:
    history = History(9)
    rng = random.Random(0)
    for trial in range(60):
        config = SPACE.sample(rng)
        value = far_apart(config, rng)
        history.append(Suggestion(trial, config, until=9))
        history.append(Report(trial, 1, value, {"val_loss": value}, 1.0))
    importance = analyse(SPACE, history)
    assert importance.average == "typical"
    (curve,) = (effect.curve for effect in importance.effects if effect.name == "b")
    assert curve.objective[0].mean < 30  # the mean is 87, the geometric mean 3
    assert analyse(SPACE, searched(only_a, 40)).average == "expected"

"""The rules of phases themselves; `regimes/contract.py` tries them in regimes."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import pytest
import torch

from tests.trainables import toys
from trainables.errors import WrongValue
from trainables.hyperparameters import Scalar
from trainables.seeding import seed_everything
from trainables.training import gradient_descent
from trainables.training.gradient_descent import Training
from trainables.training.phases import Phase, Phases


def phases(*ends: tuple[int, int | None], lr: float = 0.01, seed: int = 0, **config: Scalar) -> Phases:
    """Phases that end after so many epochs, or epochs without improvement, and a last one; each trains the head."""
    seed_everything(seed)
    model, data = toys.pretrained(), toys.data()

    def begin() -> Training:
        model.freeze(model.stages)
        return gradient_descent.build({"lr": lr, "batch_size": 32, **config}, model, data, "cpu")

    return Phases(model, [*(Phase(begin, *end) for end in ends), Phase(begin)])


def left(trainable: Phases, n: int) -> list[float]:
    return [trainable.step()["phases_left"] for _ in range(n)]


def test_the_metrics_say_how_many_phases_are_left() -> None:
    assert left(phases((2, None), (1, None)), 6) == [2, 2, 1, 0, 0, 0]


def test_the_next_phase_can_begin_before_the_current_one_is_over() -> None:
    trainable = phases((2, None), (1, None))
    assert trainable.begin_next_phase()
    assert left(trainable, 1) == [1]
    assert trainable.begin_next_phase()
    assert not trainable.begin_next_phase()
    assert left(trainable, 2) == [0, 0]


def test_one_phase_alone_never_ends() -> None:
    assert left(phases(), 3) == [0, 0, 0]


@pytest.mark.parametrize(("patience", "expected"), [(1, [1, 1, 0]), (2, [1, 1, 1, 0]), (None, [1] * 5 + [0])])
def test_a_phase_ends_when_its_validation_loss_does_not_fall_for_its_patience(
    patience: int | None, expected: list[float]
) -> None:
    assert left(phases((5, patience), lr=1e-30), len(expected)) == expected


def test_a_phase_whose_loss_falls_lasts_to_its_last_epoch() -> None:
    assert left(phases((4, 1), lr=0.01), 5) == [1, 1, 1, 1, 0]


def test_patience_counts_anew_in_each_phase() -> None:
    assert left(phases((9, 2), (9, 2), lr=1e-30), 7) == [2, 2, 2, 1, 1, 1, 0]


def test_the_count_of_epochs_without_improvement_goes_on_from_a_state() -> None:
    first = phases((9, 2), lr=1e-30)
    left(first, 2)
    state = deepcopy(first.state_dict())
    resumed = phases((9, 2), lr=1e-30, seed=5)
    resumed.load_state_dict(state)
    assert left(resumed, 2) == left(first, 2) == [1, 0]


def last_rates(trainable: Phases, n: int) -> list[float]:
    """The learning rate of the last step of each of the next epochs."""
    rates = []
    for _ in range(n):
        trainable.step()
        rates.append(trainable.state_dict()["current"]["optimizer"]["param_groups"][0]["lr"])
    return rates


def falls(n_epochs: int, lr: float) -> list[float]:
    """The rate of the last of three steps of each epoch, where it falls in a line over all epochs."""
    return [lr * (1 - (3 * epoch + 2) / (3 * n_epochs)) for epoch in range(n_epochs)]


LINE: dict[str, Any] = {"schedule": "wsd", "cooldown_share": 1.0, "schedule_epochs": 7}


def test_the_schedule_of_a_phase_ends_with_the_phase_and_that_of_the_last_one_with_the_training() -> None:
    expected = [*falls(2, 0.01), *falls(1, 0.01), *falls(4, 0.01)]
    assert last_rates(phases((2, None), (1, None), **LINE), 7) == pytest.approx(expected)


def test_the_last_schedule_has_the_epochs_that_a_phase_left_over_when_it_ended_early() -> None:
    expected = [*falls(5, 1e-30)[:2], *falls(5, 1e-30)]
    assert last_rates(phases((5, 1), lr=1e-30, **LINE), 7) == pytest.approx(expected, rel=1e-9, abs=0)


@pytest.mark.parametrize(
    ("ends", "config", "message"),
    [
        (
            (2, None),
            {"warmup": 2},
            "`warmup` must be less than the 2 epochs in which the schedule 'wsd' ends, but is 2",
        ),
        ((2, None), {"warmup_steps": 6}, "`warmup_steps` must be less than the 6 steps in which the schedule 'wsd'"),
        ((5, None), {"warmup": 2}, "`warmup` must be less than the 2 epochs in which"),
    ],
    ids=["first phase", "steps", "last phase"],
)
def test_a_warm_up_as_long_as_its_phase_is_refused_before_the_first_epoch(
    ends: tuple[int, int | None], config: dict[str, Any], message: str
) -> None:
    with pytest.raises(WrongValue, match=message):
        phases(ends, **LINE, **config)


@pytest.mark.parametrize(
    ("ends", "config"),
    [
        ((2, None), {"warmup": 1.9}),
        ((2, None), {"warmup_steps": 5}),
        ((5, 3), {"warmup": 2}),
        ((7, None), {"warmup": 2}),
    ],
    ids=["epochs", "steps", "a phase that may end early", "a last phase that never begins"],
)
def test_a_warm_up_that_may_fit_into_its_phase_is_accepted(
    ends: tuple[int, int | None], config: dict[str, Any]
) -> None:
    phases(ends, **LINE, **config)


@pytest.mark.parametrize("pause", [1, 2, 3, 6])
def test_the_schedules_of_phases_are_the_same_wherever_a_training_pauses(pause: int) -> None:
    first, resumed = phases((2, None), **LINE), phases((2, None), seed=5, **LINE)
    before = last_rates(first, pause)
    resumed.load_state_dict(deepcopy(first.state_dict()))
    assert before + last_rates(resumed, 7 - pause) == last_rates(phases((2, None), **LINE), 7)


def test_a_phase_begins_alike_whatever_was_drawn_before_it() -> None:
    runs = []
    for disturbance in (0, 7):
        trainable = phases((1, None))
        trainable.step()
        torch.rand(disturbance)
        runs.append([trainable.step() for _ in range(2)])
    assert runs[0] == runs[1]


def test_an_error_of_a_later_phase_is_raised_before_the_first_epoch() -> None:
    model, data = toys.pretrained(), toys.data()

    def begin(lr: float) -> Training:
        return gradient_descent.build({"lr": lr}, model, data, "cpu")

    with pytest.raises(WrongValue, match="`lr` must be above 0, but is -1"):
        Phases(model, [Phase(lambda: begin(0.1), 3), Phase(lambda: begin(-1))])


def test_the_first_phase_begins_with_the_parts_that_it_trains() -> None:
    model, data = toys.pretrained(), toys.data()

    def begin(frozen: Sequence[str]) -> Training:
        model.freeze(frozen)
        return gradient_descent.build({}, model, data, "cpu")

    Phases(model, [Phase(lambda: begin(list(model.stages)), 1), Phase(lambda: begin(()))])
    assert model.frozen == set(model.stages)


def test_the_seeds_of_the_phases_are_in_the_state_and_differ() -> None:
    trainable = phases((1, None), (1, None))
    seeds = trainable.state_dict()["seeds"]
    assert len(set(seeds)) == 3
    other = phases((1, None), (1, None), seed=1)
    assert other.state_dict()["seeds"] != seeds
    other.load_state_dict(deepcopy(trainable.state_dict()))
    assert other.state_dict()["seeds"] == seeds

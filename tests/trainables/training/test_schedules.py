import warnings
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from tests.trainables.declarations import Recording, declared
from trainables.hyperparameters import Config, Scalar
from trainables.training import optimizers, schedules


def build(config: Config) -> Optimizer:
    return optimizers.build([nn.Parameter(torch.ones(2))], config)


def rates(config: Config, n_epochs: int) -> list[float]:
    """The learning rate of each epoch, from a rate of 1 where `config` gives none."""
    optimizer = build({"lr": 1.0, **config})
    schedule = schedules.build(optimizer, config)
    rates = []
    for _ in range(n_epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_without_a_step_size_the_rate_is_constant() -> None:
    assert rates({"gamma": 0.1}, 3) == [1, 1, 1]
    assert rates({"schedule": "constant", "step_size": 1}, 3) == [1, 1, 1]


@pytest.mark.parametrize("named", [{}, {"schedule": "step"}])
def test_with_a_step_size_the_rate_falls_at_each_step(named: dict[str, Scalar]) -> None:
    assert rates({**named, "step_size": 2, "gamma": 0.5}, 5) == [1, 1, 0.5, 0.5, 0.25]
    assert rates({**named, "step_size": 1}, 2) == [1, 0.1]


def test_an_exponential_rate_falls_every_epoch() -> None:
    assert rates({"schedule": "exponential", "gamma": 0.5}, 3) == [1, 0.5, 0.25]
    assert rates({"schedule": "exponential"}, 2) == [1, 0.95]


def test_a_cosine_rate_falls_along_half_a_wave_and_stays_at_its_least() -> None:
    assert rates({"schedule": "cosine", "period": 4}, 7) == pytest.approx([1, 0.8535534, 0.5, 0.1464466, 0, 0, 0])
    assert rates({"schedule": "cosine", "period": 2, "lr_min": 0.2}, 4) == pytest.approx([1, 0.6, 0.2, 0.2])
    assert rates({"schedule": "cosine", "period": 1, "lr_min": 1}, 3) == [1, 1, 1]


def test_the_least_rate_is_a_rate_and_no_share_of_the_first() -> None:
    assert rates({"schedule": "cosine", "period": 2, "lr": 0.5, "lr_min": 0.1}, 3) == pytest.approx([0.5, 0.3, 0.1])


def test_groups_of_parameters_fall_to_the_same_share_of_their_own_rates() -> None:
    groups: list[dict[str, Any]] = [
        {"params": [nn.Parameter(torch.ones(1))], "lr": 0.5},
        {"params": [nn.Parameter(torch.ones(1))]},
    ]
    config: Config = {"lr": 0.1, "schedule": "cosine", "period": 1, "lr_min": 0.02}
    optimizer = optimizers.build(groups, config)
    schedule = schedules.build(optimizer, config)
    optimizer.step()
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1, 0.02])


@pytest.mark.parametrize(
    "config",
    [{}, {"step_size": 1, "gamma": 0.5}, {"schedule": "exponential"}, {"schedule": "cosine", "period": 2}],
)
def test_a_warm_up_rises_evenly_and_then_the_schedule_begins(config: Config) -> None:
    warmed = rates({**config, "warmup": 3}, 7)
    assert warmed == pytest.approx([0.25, 0.5, 0.75, *rates(config, 4)])
    assert rates({**config, "warmup": 0}, 4) == rates(config, 4)


PAUSING: list[Config] = [
    {"lr": 1.0, "step_size": 2, "gamma": 0.3},
    {"lr": 1.0, "schedule": "cosine", "period": 4, "lr_min": 0.1, "warmup": 2},
]


@pytest.mark.parametrize("config", PAUSING, ids=["step", "cosine"])
@pytest.mark.parametrize("pause", range(1, 6))
def test_a_schedule_that_pauses_goes_on_as_if_it_had_not(pause: int, config: Config) -> None:
    optimizer = build(config)
    schedule = schedules.build(optimizer, config)
    for _ in range(pause):
        optimizer.step()
        schedule.step()
    resumed = build(config)
    resumed_schedule = schedules.build(resumed, config)
    resumed.load_state_dict(optimizer.state_dict())
    resumed_schedule.load_state_dict(schedule.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resumed.step()
        resumed_schedule.step()
    assert resumed.param_groups[0]["lr"] == rates(config, pause + 2)[-1]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"schedule": "steps"}, "`schedule` must be one of constant, step, exponential, cosine, but is 'steps'"),
        ({"schedule": "step"}, "`schedule` is 'step', which needs `step_size`"),
        ({"step_size": 0}, "`step_size` must be a whole number of at least 1, but is 0"),
        ({"step_size": 5, "gamma": 1.5}, "`gamma` must be above 0 and at most 1, but is 1.5"),
        ({"schedule": "exponential", "gamma": 0.0}, "`gamma` must be above 0 and at most 1, but is 0.0"),
        ({"schedule": "cosine"}, "`schedule` is 'cosine', which needs `period`: a whole number of at least 1"),
        ({"schedule": "cosine", "period": 0}, "`period` must be a whole number of at least 1, but is 0"),
        (
            {"schedule": "cosine", "period": 3, "lr": 0.1, "lr_min": 0.2},
            "`lr_min` must be of at least 0 and at most the learning rate, 0.1, but is 0.2",
        ),
        ({"schedule": "cosine", "period": 3, "lr_min": -0.2}, "`lr_min` must be of at least 0 and .*, but is -0.2"),
        ({"warmup": -1}, "`warmup` must be a whole number of at least 0, but is -1"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_and_what_is_allowed(config: Config, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        schedules.build(build(config), config)


def test_every_key_that_is_read_is_declared_and_every_declared_key_is_read() -> None:
    read: set[str] = set()
    configs: list[Config] = [{"step_size": 3}, {"schedule": "exponential"}, {"schedule": "cosine", "period": 3}]
    for config in configs:
        recording = Recording(config)
        schedules.build(build(config), recording)
        read |= recording.read
    assert read == set(declared("trainables.training.schedules"))


def test_the_declared_choices_are_those_that_build() -> None:
    choices = declared("trainables.training.schedules")["schedule"]
    for name in choices:
        config: Config = {"schedule": name, "step_size": 1, "period": 1}
        schedules.build(build(config), config)
    with pytest.raises(ValueError, match=f"`schedule` must be one of {', '.join(map(str, choices))}, but"):
        schedules.build(build({}), {"schedule": "none"})

import warnings
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from tests.trainables.declarations import Recording, declared
from trainables import optimizers
from trainables.hyperparameters import Config, Scalar


def build(config: Config) -> Optimizer:
    return optimizers.build([nn.Parameter(torch.ones(2))], config)


def group(config: Config) -> dict[str, Any]:
    return build(config).param_groups[0]


def rates(config: Config, n_epochs: int) -> list[float]:
    """The learning rate of each epoch, counted from a rate of 1."""
    optimizer = build({"lr": 1.0, **config})
    schedule = optimizers.schedule(optimizer, config)
    rates = []
    for _ in range(n_epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize(("name", "kind"), [("sgd", SGD), ("nag", SGD), ("adam", Adam), ("adamw", AdamW)])
def test_each_name_builds_its_optimizer_with_the_values_given(name: str, kind: type[Optimizer]) -> None:
    optimizer = build({"optimizer": name, "lr": 0.2, "weight_decay": 0.3, "momentum": 0.4})
    assert type(optimizer) is kind
    values = optimizer.param_groups[0]
    assert (values["lr"], values["weight_decay"]) == (0.2, 0.3)
    assert values.get("nesterov", False) is (name == "nag")
    assert values.get("momentum", 0.4) == 0.4


def test_what_is_not_given_is_as_in_pytorch_and_nag_has_momentum() -> None:
    assert isinstance(build({}), AdamW)
    assert (group({})["lr"], group({})["weight_decay"]) == (1e-3, 0.01)
    assert group({"optimizer": "adam"})["weight_decay"] == 0
    assert (group({"optimizer": "sgd"})["lr"], group({"optimizer": "sgd"})["momentum"]) == (1e-3, 0)
    assert group({"optimizer": "nag"})["momentum"] == 0.9


def test_groups_of_parameters_may_have_learning_rates_of_their_own() -> None:
    one, other = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    groups: list[dict[str, Any]] = [{"params": [one], "lr": 0.5}, {"params": [other]}]
    optimizer = optimizers.build(groups, {"lr": 0.1})
    schedule = optimizers.schedule(optimizer, {"step_size": 1, "gamma": 0.5})
    optimizer.step()
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.05]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"optimizer": "sdg"}, "`optimizer` must be one of sgd, nag, adam, adamw, but is 'sdg'"),
        ({"lr": -0.1}, "`lr` must be above 0, but is -0.1"),
        ({"lr": 0}, "`lr` must be above 0, but is 0"),
        ({"weight_decay": -1e-3}, "`weight_decay` must be of at least 0, but is -0.001"),
        ({"optimizer": "sgd", "momentum": 1.0}, "`momentum` must be of at least 0 and below 1, but is 1.0"),
        ({"optimizer": "nag", "momentum": 0.0}, "`momentum` must be above 0 and below 1, but is 0.0"),
        ({"schedule": "steps"}, "`schedule` must be one of constant, step, exponential, but is 'steps'"),
        ({"schedule": "step"}, "`schedule` is 'step', which needs `step_size`"),
        ({"step_size": 0}, "`step_size` must be a whole number of at least 1, but is 0"),
        ({"step_size": 5, "gamma": 1.5}, "`gamma` must be above 0 and at most 1, but is 1.5"),
        ({"schedule": "exponential", "gamma": 0.0}, "`gamma` must be above 0 and at most 1, but is 0.0"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_and_what_is_allowed(config: Config, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        optimizers.schedule(build(config), config)


def test_adam_ignores_momentum() -> None:
    assert isinstance(build({"optimizer": "adam", "momentum": 7.0}), Adam)


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


@pytest.mark.parametrize("pause", range(1, 6))
def test_a_schedule_that_pauses_goes_on_as_if_it_had_not(pause: int) -> None:
    config: Config = {"lr": 1.0, "step_size": 2, "gamma": 0.3}
    optimizer = build(config)
    schedule = optimizers.schedule(optimizer, config)
    for _ in range(pause):
        optimizer.step()
        schedule.step()
    resumed = build(config)
    resumed_schedule = optimizers.schedule(resumed, config)
    resumed.load_state_dict(optimizer.state_dict())
    resumed_schedule.load_state_dict(schedule.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resumed.step()
        resumed_schedule.step()
    assert resumed.param_groups[0]["lr"] == rates(config, pause + 2)[-1]


def test_every_key_that_is_read_is_declared_and_every_declared_key_is_read() -> None:
    read: set[str] = set()
    configs: list[Config] = [{"optimizer": "sgd"}, {"optimizer": "nag", "step_size": 3}, {"schedule": "exponential"}]
    for config in configs:
        recording = Recording(config)
        optimizers.schedule(build(recording), recording)
        read |= recording.read
    assert read == set(declared("trainables.optimizers"))


@pytest.mark.parametrize("key", ["optimizer", "schedule"])
def test_the_declared_choices_are_those_that_build(key: str) -> None:
    choices = declared("trainables.optimizers")[key]
    for name in choices:
        config: Config = {key: name, "step_size": 1}
        optimizers.schedule(build(config), config)
    with pytest.raises(ValueError, match=f"`{key}` must be one of {', '.join(map(str, choices))}, but"):
        optimizers.schedule(build({key: "none"}), {key: "none"})

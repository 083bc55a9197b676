from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from tests.trainables.declarations import Recording, declared
from trainables.hyperparameters import Config
from trainables.training import optimizers, schedules


def build(config: Config) -> Optimizer:
    return optimizers.build([nn.Parameter(torch.ones(2))], config)


def group(config: Config) -> dict[str, Any]:
    return build(config).param_groups[0]


@pytest.mark.parametrize(("name", "kind"), [("sgd", SGD), ("nag", SGD), ("adam", Adam), ("adamw", AdamW)])
def test_each_name_builds_its_optimizer_with_the_values_given(name: str, kind: type[Optimizer]) -> None:
    optimizer = build({"optimizer": name, "lr": 0.2, "weight_decay": 0.3, "momentum": 0.4})
    assert isinstance(optimizer, kind)
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
    schedule = schedules.build(optimizer, {"step_size": 1, "gamma": 0.5})
    for _ in range(2):
        schedule.set_factor(schedule.factors(1)[0])
        schedule.end_epoch()
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.05]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"optimizer": "sdg"}, "`optimizer` must be one of adamw, adam, sgd, nag, timm:NAME, but is 'sdg'"),
        ({"lr": -0.1}, "`lr` must be above 0, but is -0.1"),
        ({"lr": 0}, "`lr` must be above 0, but is 0"),
        ({"weight_decay": -1e-3}, "`weight_decay` must be of at least 0, but is -0.001"),
        ({"optimizer": "sgd", "momentum": 1.0}, "`momentum` must be of at least 0 and below 1, but is 1.0"),
        ({"optimizer": "nag", "momentum": 0.0}, "`momentum` must be above 0 and below 1, but is 0.0"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_and_what_is_allowed(config: Config, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(config)


def test_adam_ignores_momentum() -> None:
    assert isinstance(build({"optimizer": "adam", "momentum": 7.0}), Adam)


def test_a_phase_may_have_a_learning_rate_key_of_its_own() -> None:
    config: Config = {"lr": 1.0, "probe_lr": 0.5, "schedule": "cosine", "period": 1, "lr_min": 0.1}
    optimizer = optimizers.build([nn.Parameter(torch.ones(1))], config, lr="probe_lr")
    schedule = schedules.build(optimizer, config)
    before = optimizer.param_groups[0]["lr"]
    schedule.end_epoch()
    schedule.set_factor(schedule.factors(1)[0])
    assert (before, optimizer.param_groups[0]["lr"]) == (0.5, pytest.approx(0.1))
    with pytest.raises(ValueError, match="`probe_lr` must be above 0, but is -1"):
        optimizers.build([nn.Parameter(torch.ones(1))], {"probe_lr": -1}, lr="probe_lr")


def test_gradients_are_limited_only_where_a_norm_is_given() -> None:
    assert optimizers.clip({}) is None
    assert optimizers.clip({"clip_norm": None}) is None
    assert optimizers.clip({"clip_norm": 2}) == 2
    with pytest.raises(ValueError, match="`clip_norm` must be above 0, but is 0"):
        optimizers.clip({"clip_norm": 0})


def test_every_key_that_is_read_here_or_by_a_schedule_is_declared_and_every_declared_key_is_read() -> None:
    read: set[str] = set()
    configs: list[Config] = [
        {"optimizer": "sgd"},
        {"optimizer": "nag", "step_size": 3},
        {"schedule": "exponential"},
        {"schedule": "cosine", "period": 3},
        {"schedule": "one_cycle", "schedule_epochs": 3},
        {"schedule": "wsd", "schedule_epochs": 3},
        {"warmup_steps": 1},
    ]
    for config in configs:
        recording = Recording(config)
        schedules.build(build(recording), recording)
        optimizers.clip(recording)
        read |= recording.read
    assert read == set(declared("trainables.training.optimizers"))


def test_the_declared_choices_are_those_that_build() -> None:
    choices = declared("trainables.training.optimizers")["optimizer"]
    for name in choices:
        if name != "timm:NAME":
            build({"optimizer": name})
    with pytest.raises(ValueError, match=f"`optimizer` must be one of {', '.join(map(str, choices))}, but"):
        build({"optimizer": "none"})

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from tests.trainables.declarations import Recording, declared
from trainables.hyperparameters import Config
from trainables.training import optimizers, schedules


def build(config: Config) -> Optimizer:
    return optimizers.build([nn.Parameter(torch.ones(2))], config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"schedule": "steps"},
            "`schedule` must be one of constant, step, exponential, cosine, one_cycle, wsd, but is 'steps'",
        ),
        ({"schedule": "step"}, "`schedule` is 'step', which needs `step_size`"),
        ({"step_size": 0}, "`step_size` must be a whole number of at least 1, but is 0"),
        ({"step_size": 5, "gamma": 1.5}, "`gamma` must be above 0 and at most 1, but is 1.5"),
        ({"schedule": "exponential", "gamma": 0.0}, "`gamma` must be above 0 and at most 1, but is 0.0"),
        (
            {"schedule": "cosine"},
            "`schedule` is 'cosine', which needs `period` or `schedule_epochs`: a whole number of",
        ),
        ({"schedule": "wsd"}, "`schedule` is 'wsd', which needs `schedule_epochs`: a whole number of at least 1"),
        ({"warmup_share": 0.1}, "`warmup_share` needs `schedule_epochs`: a whole number of at least 1"),
        ({"schedule_epochs": 0, "schedule": "wsd"}, "`schedule_epochs` must be a whole number of at least 1, but is 0"),
        ({"schedule_interval": "batch"}, "`schedule_interval` must be one of step, epoch, but is 'batch'"),
        ({"schedule": "cosine", "period": 0}, "`period` must be a whole number of at least 1, but is 0"),
        (
            {"schedule": "cosine", "period": 3, "lr": 0.1, "lr_min": 0.2},
            "`lr_min` must be of at least 0 and at most the learning rate, 0.1, but is 0.2",
        ),
        ({"schedule": "cosine", "period": 3, "lr_min": -0.2}, "`lr_min` must be of at least 0 and .*, but is -0.2"),
        ({"warmup": -1}, "`warmup` must be of at least 0, but is -1"),
        ({"warmup": "2"}, "`warmup` must be a finite number of at least 0, but is '2'"),
        ({"warmup_steps": 1.5}, "`warmup_steps` must be a whole number of at least 0, but is 1.5"),
        ({"warmup_share": 1.0, "schedule_epochs": 2}, "`warmup_share` must be of at least 0 and below 1, but is 1.0"),
        (
            {"warmup": 1, "warmup_steps": 5},
            "`warmup` and `warmup_steps` give the warm-up twice: set only one of warmup, ",
        ),
        ({"warmup_steps": 0, "warmup_share": 0.0}, "`warmup_steps` and `warmup_share` give the warm-up twice"),
        (
            {"warmup": 0.5, "schedule_interval": "epoch"},
            "`warmup` must be a whole number with `schedule_interval`",
        ),
        ({"warmup_steps": 5, "schedule_interval": "epoch"}, "`warmup_steps` needs `schedule_interval` step, but it is"),
        (
            {"schedule": "cosine", "schedule_epochs": 3, "warmup": 3},
            "`warmup` must be less than the 3 epochs in which the schedule 'cosine' ends, but is 3",
        ),
        ({"schedule": "one_cycle", "schedule_epochs": 3, "div_factor": 0.5}, "`div_factor` must be of at least 1, but"),
        (
            {"schedule": "wsd", "schedule_epochs": 3, "cooldown_share": 0},
            "`cooldown_share` must be above 0 and at",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_and_what_is_allowed(config: Config, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        schedules.build(build(config), config)


def test_every_key_that_is_read_is_declared_and_every_declared_key_is_read() -> None:
    read: set[str] = set()
    configs: list[Config] = [{"step_size": 3}, {"schedule": "exponential"}, {"schedule": "cosine", "period": 3}]
    configs += [{"schedule": name, "schedule_epochs": 3} for name in ("one_cycle", "wsd")]
    configs += [{"warmup_steps": 1}]
    for config in configs:
        recording = Recording(config)
        schedules.build(build(config), recording)
        read |= recording.read
    assert read == set(declared("trainables.training.schedules"))


def test_the_declared_choices_are_those_that_build() -> None:
    choices = declared("trainables.training.schedules")["schedule"]
    for name in choices:
        config: Config = {"schedule": name, "step_size": 1, "schedule_epochs": 1}
        schedules.build(build(config), config)
    with pytest.raises(ValueError, match=f"`schedule` must be one of {', '.join(map(str, choices))}, but"):
        schedules.build(build({}), {"schedule": "none"})

from copy import deepcopy
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR

from trainables import vision
from trainables.hyperparameters import Config, Scalar
from trainables.training import optimizers, schedules
from trainables.training.schedules import Schedule


def build(config: Config) -> Optimizer:
    return optimizers.build([nn.Parameter(torch.ones(2))], config)


def trained(optimizer: Optimizer, schedule: Schedule, n_epochs: int, n_steps: int) -> list[float]:
    """The learning rate of each step of so many epochs of so many steps, which are trained."""
    rates = []
    for _ in range(n_epochs):
        for factor in schedule.factors(n_steps):
            schedule.set_factor(factor)
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
        schedule.end_epoch()
    return rates


def rates(config: Config, n_epochs: int, n_steps: int = 1) -> list[float]:
    """The learning rate of each step, from a rate of 1 where `config` gives none."""
    optimizer = build({"lr": 1.0, **config})
    return trained(optimizer, schedules.build(optimizer, config), n_epochs, n_steps)


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
    trained(optimizer, schedule, 2, 1)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1, 0.02])


def test_a_group_that_is_added_later_begins_with_its_own_rate() -> None:
    optimizer = build({"lr": 0.1})
    schedule = schedules.build(optimizer, {"step_size": 1, "gamma": 0.5})
    trained(optimizer, schedule, 1, 3)
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "lr": 0.4})
    trained(optimizer, schedule, 1, 3)
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.2]


@pytest.mark.parametrize(
    "config",
    [{}, {"step_size": 1, "gamma": 0.5}, {"schedule": "exponential"}, {"schedule": "cosine", "period": 2}],
)
def test_a_warm_up_rises_evenly_and_then_the_schedule_begins(config: Config) -> None:
    warmed = rates({**config, "warmup": 3}, 7)
    assert warmed == pytest.approx([0.25, 0.5, 0.75, *rates(config, 4)])
    assert rates({**config, "warmup": 0}, 4) == rates(config, 4)


def test_a_step_decay_holds_within_an_epoch() -> None:
    assert rates({"step_size": 2, "gamma": 0.5}, 3, 2) == [1, 1, 1, 1, 0.5, 0.5]
    assert rates({"schedule": "exponential", "gamma": 0.5}, 2, 3) == [1, 1, 1, 0.5, 0.5, 0.5]


def test_a_cosine_without_a_period_falls_each_step_to_the_end_of_the_training() -> None:
    falling = rates({"schedule": "cosine", "schedule_epochs": 3, "lr_min": 0.1}, 4, 4)
    assert falling[:12] == rates({"schedule": "cosine", "period": 12, "lr_min": 0.1}, 12)
    assert falling[12:] == pytest.approx([0.1] * 4)
    assert all(after < before for before, after in pairwise(falling[:13]))


def test_a_warm_up_within_a_training_leaves_the_rest_of_it_to_the_cosine() -> None:
    warmed = rates({"schedule": "cosine", "schedule_epochs": 3, "warmup": 0.5}, 3, 4)
    assert warmed == pytest.approx([1 / 3, 2 / 3, *rates({"schedule": "cosine", "period": 10}, 10)])


@pytest.mark.parametrize("same", [{"warmup": 1.25}, {"warmup_steps": 5}, {"warmup_share": 0.25}])
def test_a_warm_up_is_given_in_epochs_or_steps_or_as_a_share(same: dict[str, Scalar]) -> None:
    assert rates({**same, "schedule_epochs": 5}, 3, 4) == [1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6] + [1.0] * 7


def test_wsd_is_constant_and_falls_in_its_last_steps_in_a_line() -> None:
    config: Config = {"schedule": "wsd", "schedule_epochs": 5, "cooldown_share": 0.4, "lr_min": 0.2}
    fall = [1.0, 0.8, 0.6, 0.4]
    assert rates(config, 6, 2) == pytest.approx([1.0] * 6 + fall + [0.2, 0.2])
    assert rates({**config, "warmup_steps": 1}, 5, 2) == pytest.approx([0.5] + [1.0] * 5 + fall)
    assert rates({**config, "cooldown_share": 0.2}, 5, 2) == pytest.approx([1.0] * 8 + [1.0, 0.6])


def test_once_an_epoch_all_steps_have_the_rate_of_the_epoch() -> None:
    config: Config = {"schedule": "cosine", "period": 3, "warmup": 2, "schedule_interval": "epoch"}
    assert rates(config, 6, 3) == [rate for rate in rates(config, 6) for _ in range(3)]
    ending: Config = {"schedule": "wsd", "schedule_epochs": 4, "cooldown_share": 0.5, "schedule_interval": "epoch"}
    assert rates(ending, 4, 2) == [1, 1, 1, 1, 1, 1, 0.5, 0.5]


@pytest.mark.parametrize("n_steps", [1, 7])
def test_once_an_epoch_the_rates_are_those_of_studies_before_schedules_by_step(n_steps: int) -> None:
    """A LambdaLR that is stepped once an epoch, as these studies had, and whose states they hold."""
    config: Config = {"schedule": "cosine", "period": 4, "warmup": 2, "lr_min": 0.1, "schedule_interval": "epoch"}
    warmup, wave = [1 / 3, 2 / 3], rates({"schedule": "cosine", "period": 4, "lr_min": 0.1}, 9)
    optimizer = build({"lr": 1.0})
    reference = LambdaLR(optimizer, lambda epoch: [*warmup, *wave][epoch])
    for _ in range(3):
        optimizer.step()
        reference.step()
    resumed = build({"lr": 1.0, **config})
    schedule = schedules.build(resumed, config)
    resumed.load_state_dict(optimizer.state_dict())
    schedule.load_state_dict(reference.state_dict())
    assert trained(resumed, schedule, 2, n_steps) == [wave[1]] * n_steps + [wave[2]] * n_steps


@pytest.mark.parametrize(("n_epochs", "n_steps", "share"), [(3, 8, 0.25), (5, 4, 0.3), (2, 5, 0.5), (1, 4, 0.5)])
def test_one_cycle_is_that_of_pytorch_in_each_step(n_epochs: int, n_steps: int, share: float) -> None:
    other = build({"lr": 0.3})
    end: dict[str, Any] = {"div_factor": 10.0, "final_div_factor": 50.0}
    n_all = n_epochs * n_steps
    reference = OneCycleLR(other, 0.3, n_all, pct_start=share, cycle_momentum=False, **end)
    expected = []
    for _ in range(n_all):
        expected.append(other.param_groups[0]["lr"])
        other.step()
        if len(expected) < n_all:
            reference.step()
    config: Config = {"lr": 0.3, "schedule": "one_cycle", "schedule_epochs": n_epochs, "warmup_share": share, **end}
    assert rates(config, n_epochs, n_steps) == pytest.approx(expected, rel=1e-9)
    assert rates(config, n_epochs + 1, n_steps)[-1] == pytest.approx(0.3 / 10 / 50)


def test_one_cycle_rises_for_three_tenths_unless_it_is_told_otherwise() -> None:
    config: Config = {"schedule": "one_cycle", "schedule_epochs": 10}
    assert rates(config, 10, 2) == rates(
        {**config, "warmup_share": 0.3, "div_factor": 25, "final_div_factor": 1e4}, 10, 2
    )
    assert rates({**config, "warmup": 3}, 10, 2) == rates(config, 10, 2)
    assert rates({**config, "warmup": 0}, 10, 2)[0] == 1


@pytest.mark.slow
@pytest.mark.parametrize(("n_epochs", "n_steps", "warmup"), [(5, 7, 2), (4, 1, 0), (3, 10, 1)])
def test_cosine_and_its_warm_up_are_those_of_timm_in_each_step(n_epochs: int, n_steps: int, warmup: int) -> None:
    vision.torchvision()  # timm imports it, and cannot always do so by itself
    pytest.importorskip("timm")
    from timm.scheduler import create_scheduler_v2

    other, lr, n_warmup = build({"lr": 0.3}), 0.3, warmup * n_steps
    reference, _ = create_scheduler_v2(
        other,
        "cosine",
        num_epochs=n_epochs - warmup,
        min_lr=0.01,
        warmup_epochs=warmup,
        warmup_lr=lr / (n_warmup + 1),
        warmup_prefix=True,
        step_on_epochs=False,
        updates_per_epoch=n_steps,
    )
    expected = []
    for update in range((n_epochs + 1) * n_steps):
        reference.step_update(update)
        expected.append(other.param_groups[0]["lr"])
    config: Config = {"lr": lr, "schedule": "cosine", "schedule_epochs": n_epochs, "lr_min": 0.01, "warmup": warmup}
    assert rates(config, n_epochs + 1, n_steps) == pytest.approx(expected, rel=1e-12)


ANY = st.fixed_dictionaries(
    {
        "schedule": st.sampled_from(["constant", "step", "exponential", "cosine", "one_cycle", "wsd"]),
        "schedule_epochs": st.integers(4, 12),
        "step_size": st.integers(1, 4),
        "gamma": st.floats(0.1, 1),
        "lr_min": st.floats(0, 0.5),
        "cooldown_share": st.floats(0.01, 1),
        "lr": st.floats(0.5, 3),
    },
    optional={"period": st.integers(1, 12)},
)
WARMUP: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"warmup": st.floats(0, 3)}),
    st.fixed_dictionaries({"warmup_steps": st.integers(0, 20)}),
    st.fixed_dictionaries({"warmup_share": st.floats(0, 0.9)}),
)


@settings(max_examples=60, deadline=None)
@given(ANY, WARMUP, st.lists(st.integers(1, 4), min_size=1, max_size=5), st.integers(1, 6))
def test_the_rates_of_some_epochs_are_the_same_in_any_pieces(
    config: dict[str, Any], warmup: dict[str, Any], pieces: list[int], n_steps: int
) -> None:
    config = config | warmup
    found: list[float] = []
    saved: Any = None
    for n_epochs in pieces:
        optimizer = build(config)
        schedule = schedules.build(optimizer, config)
        if saved is not None:
            optimizer.load_state_dict(saved[0])
            schedule.load_state_dict(saved[1])
        found += trained(optimizer, schedule, n_epochs, n_steps)
        saved = deepcopy((optimizer.state_dict(), schedule.state_dict()))
    assert found == rates(config, sum(pieces), n_steps)
    assert all(0 <= rate <= config["lr"] for rate in found)

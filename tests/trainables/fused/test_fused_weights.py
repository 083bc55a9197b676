"""Fused heads with a learning rate, a weight decay and an average of their own: each as alone."""

import importlib.util
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from tests.trainables.fused.heads import build, check_alike, check_equal, check_states
from trainables import fused
from trainables.training.gradient_descent import Training

OPTIMIZERS: list[Mapping[str, Any]] = [
    {"optimizer": "sgd"},
    {"optimizer": "nag", "momentum": 0.8},
    {"optimizer": "adam"},
    {"optimizer": "adamw"},
]
KEPT_APART: list[Mapping[str, Any]] = [
    {},
    {"decay_norms": False},
    {"decay_norms": False, "ema": 0.9, "head_lr": 3.0},
    {"ema": 0.5, "batch_size": 40, "step_size": 1},
    {"head_lr": 0.1, "layer_decay": 0.5},
]


def members(head: str, optimizer: Mapping[str, Any]) -> list[Training]:
    shared = {"weight_decay": 0.1, **optimizer}
    return [build(seed, head, **{**shared, **own}) for seed, own in enumerate(KEPT_APART)]


@pytest.mark.parametrize("head", ["linear", "wide"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda each: each["optimizer"])
def test_heads_train_as_alone(head: str, optimizer: Mapping[str, Any]) -> None:
    # Adam divides each gradient by its size, and so enlarges the rounding errors of gradients near zero.
    tolerance = 5e-4 if optimizer["optimizer"] == "adam" else 1e-4
    check_alike(members(head, optimizer), members(head, optimizer), n_epochs=3, tolerance=tolerance)


def test_an_average_that_is_loaded_goes_on() -> None:
    (ours, other), (alone, alone_other) = ([build(seed, ema=0.8) for seed in range(2)] for _ in range(2))
    group = fused.Group()
    group.step([ours, other])
    state = alone_other.state_dict()
    alone.step()
    ours.load_state_dict(state)
    alone.load_state_dict(state)
    for _ in range(2):
        check_equal(group.step([ours, other])[0], alone.step())
    check_states(ours.state_dict(), alone.state_dict(), 1e-4)


def test_predictions_are_those_of_the_average() -> None:
    group, made = fused.Group(), build(0, ema=0.95)
    assert fused.key(made) is not None
    group.step([made])
    assert made.validation_logits is not None
    probabilities = made.validation_logits.softmax(dim=1)
    torch.testing.assert_close(probabilities, made.predict(made.data.validation), rtol=1e-4, atol=1e-5)
    assert not torch.equal(made.model.get_parameter("head.weight"), made.trained_model.get_parameter("head.weight"))


@pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is an extra")
def test_an_optimizer_of_timm_trains_alone() -> None:
    assert fused.key(build(0, optimizer="timm:lion")) is None

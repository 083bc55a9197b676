from __future__ import annotations

import pytest
import torch
from torch import nn

from trainables.data.dataset import Part
from trainables.ranking import timing
from trainables.trainable import TransferModel


@pytest.fixture
def part() -> Part:
    return Part(torch.rand(20, 3, 8, 8), torch.zeros(20, dtype=torch.int64))


def model() -> TransferModel:
    stages = {"first": nn.Conv2d(3, 64, 7), "relu": nn.ReLU(), "second": nn.Conv2d(64, 2, 1), "flat": nn.Flatten()}
    return TransferModel(stages, nn.Linear(8, 2))


def test_stages_with_weights_are_counted_from_the_last_and_the_last_time_is_that_of_all(part: Part) -> None:
    found = timing.seconds_of_last_stages(model(), part)
    assert len(found) == 2
    assert 0 < found[0] < found[1]


def test_a_network_without_weights_has_one_time(part: Part) -> None:
    assert len(timing.seconds_of_last_stages(TransferModel({"flat": nn.Flatten()}, nn.Linear(192, 2)), part)) == 1


def test_the_time_of_an_image_is_that_of_all_stages(part: Part) -> None:
    assert timing.seconds_per_image(model(), part, bf16=True) > 0


def test_the_precision_is_one_that_a_training_knows(part: Part) -> None:
    assert timing.faster_precision(model(), part) in ("fp32", "bf16")

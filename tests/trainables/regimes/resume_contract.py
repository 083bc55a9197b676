from abc import ABC, abstractmethod
from copy import deepcopy
from typing import ClassVar

import pytest
import torch

from tests.trainables.states import identical, loaded, saved
from trainables.hyperparameters import Config
from trainables.trainable import Trainable

WEIGHTS_APART = (
    pytest.param({"ema": 0.8, "unfreeze_every": 1}, id="average and unfreezing"),
    pytest.param(
        {"layer_decay": 0.5, "schedule": "one_cycle", "schedule_epochs": 9},
        id="rates of layers",
        marks=pytest.mark.slow,
    ),
)
"""Configurations in which the weights do not all train in the same way."""


class ResumeContract(ABC):
    """The part of the contract of regimes about states: a training that goes on from one is one that never stopped."""

    config: ClassVar[Config]
    epochs: ClassVar[tuple[int, ...]]
    other_seed: ClassVar[int]

    @abstractmethod
    def build(self, *, seed: int = 1, config: Config | None = None) -> Trainable: ...

    @abstractmethod
    def in_last_phase(self) -> Trainable: ...

    def test_training_that_stops_anywhere_and_goes_on_is_exactly_training_that_never_stopped(self) -> None:
        unbroken = self.build()
        epochs, files = [], []
        for _ in range(sum(self.epochs) + 3):
            epochs.append(unbroken.step())
            files.append(saved(unbroken))
        for done, file in enumerate(files[:-1], start=1):
            resumed = self.build(seed=self.other_seed)
            torch.rand(100)
            resumed.load_state_dict(loaded(file))
            assert [resumed.step() for _ in epochs[done:]] == epochs[done:], f"stopped after {done} epochs"
            assert identical(resumed.state_dict(), unbroken.state_dict())
        assert epochs[0] != epochs[1]

    def test_a_trainable_that_has_trained_already_goes_on_from_a_state_too(self) -> None:
        first = self.build()
        first.step()
        file = saved(first)
        expected = first.step()
        second = self.build(seed=self.other_seed)
        second.step()
        second.load_state_dict(loaded(file))
        assert second.step() == expected

    def test_going_on_leaves_the_loaded_state_as_it_was(self) -> None:
        first = self.in_last_phase()
        first.step()
        state = loaded(saved(first))
        kept = deepcopy(state)
        second = self.build(seed=self.other_seed)
        second.load_state_dict(state)
        second.step()
        assert identical(state, kept)

    def test_the_state_survives_a_file_that_is_read_with_weights_only(self) -> None:
        trainable = self.build()
        for _ in range(sum(self.epochs) + 1):
            trainable.step()
            assert identical(loaded(saved(trainable)), trainable.state_dict())

    @pytest.mark.parametrize("config", WEIGHTS_APART)
    def test_training_whose_weights_train_apart_goes_on_exactly_in_each_phase(self, config: Config) -> None:
        """Random weights that have not begun to train are not in the state: they follow from the seed."""
        config = {**self.config, **config}
        unbroken = self.build(config=config)
        for _ in range(sum(self.epochs) // 2 + 2):
            unbroken.step()
            resumed = self.build(config=config)
            resumed.load_state_dict(loaded(saved(unbroken)))
            assert resumed.step() == unbroken.step()
            assert identical(resumed.state_dict(), unbroken.state_dict())

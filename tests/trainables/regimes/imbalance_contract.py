from abc import ABC, abstractmethod
from copy import deepcopy
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch

from trainables.data.dataset import SearchData
from trainables.hyperparameters import Config
from trainables.trainable import Trainable

AGAINST_IMBALANCE: Config = {
    "class_weights": "effective",
    "loss_function": "focal",
    "label_smoothing": 0.1,
    "sampler": "balanced",
}


class ImbalanceContract(ABC):
    """The part of the contract of regimes about class weights, the focal loss and balanced sampling."""

    config: ClassVar[Config]
    epochs: ClassVar[tuple[int, ...]]
    other_seed: ClassVar[int]
    is_even: ClassVar[bool] = False
    """Whether the last phase trains on as many images of each class, whatever the data."""

    @abstractmethod
    def data(self) -> SearchData: ...

    @abstractmethod
    def build(self, *, seed: int = ..., config: Config | None = None, data: SearchData | None = None) -> Trainable: ...

    @abstractmethod
    def in_last_phase(self, **changes: Any) -> Trainable: ...

    def skewed_data(self) -> SearchData:
        """The data with half of the images of one class in the training part."""
        data = self.data()
        rare = (data.train.labels == 2).nonzero().flatten().tolist()
        left_out = set(rare[1::2])
        return replace(data, train=data.train.take([i for i in range(len(data.train)) if i not in left_out]))

    def test_training_against_imbalance_goes_on_exactly_and_is_validated_by_the_plain_cross_entropy(self) -> None:
        config, data = {**self.config, **AGAINST_IMBALANCE}, self.skewed_data()
        unbroken, labels = self.build(config=config, data=data), data.validation.labels
        for _ in range(sum(self.epochs) + 2):
            state = deepcopy(unbroken.state_dict())
            metrics = unbroken.step()
            resumed = self.build(seed=self.other_seed, config=config, data=data)
            resumed.load_state_dict(state)
            assert resumed.step() == metrics
            probabilities = unbroken.predict(data.validation)  # type: ignore[attr-defined]
            loss = -probabilities[torch.arange(len(labels)), labels].log().mean()
            assert metrics["val_loss"] == pytest.approx(float(loss), rel=1e-4)

    @pytest.mark.parametrize(
        "change", [{"class_weights": "balanced"}, {"sampler": "balanced"}, {"loss_function": "focal"}], ids=str
    )
    def test_the_last_phase_weighs_and_draws_its_own_images(self, change: Config) -> None:
        data = self.skewed_data()
        plain = self.in_last_phase(data=data)
        changed = self.build(config={**self.config, **change}, data=data)
        changed.load_state_dict(deepcopy(plain.state_dict()))
        are_weights_alike = self.is_even and "class_weights" in change
        assert (changed.step()["train_loss"] == plain.step()["train_loss"]) == are_weights_alike

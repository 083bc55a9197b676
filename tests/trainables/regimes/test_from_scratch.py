import math
from typing import ClassVar

import pytest
import torch

from tests.trainables import toys
from tests.trainables.regimes.contract import LEARNS, RegimeContract
from trainables.data.dataset import Part, SearchData
from trainables.data.heldout import held_out
from trainables.data.splits import split
from trainables.datasets import digits
from trainables.hyperparameters import Config
from trainables.models import small_cnn
from trainables.regimes import from_scratch
from trainables.seeding import seed_everything
from trainables.trainable import TransferModel


class TestFromScratch(RegimeContract):
    regime = from_scratch
    config: ClassVar[Config] = {**LEARNS, "lr": 0.05, "step_size": 3, "gamma": 0.5}
    trains: ClassVar = (("first", "second", "head"),)

    def model(self) -> TransferModel:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return toys.model()

    @pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
    def test_every_optimizer_goes_on_exactly(self, optimizer: str) -> None:
        config: Config = {"optimizer": optimizer, "lr": 0.01, "batch_size": 32, "weight_decay": 0.01}
        unbroken = self.build(config=config)
        unbroken.step()
        resumed = self.build(seed=9, config=config)
        resumed.load_state_dict(unbroken.state_dict())
        assert resumed.step() == unbroken.step()

    def test_the_learning_rate_falls_with_the_epochs_as_the_schedule_says(self) -> None:
        trainable = self.build(config={**self.config, "step_size": 2, "gamma": 0.1})
        rates = []
        for _ in range(4):
            trainable.step()
            rates.append(trainable.state_dict()["optimizer"]["param_groups"][0]["lr"])
        assert rates == pytest.approx([0.05, 0.05, 0.005, 0.005])

    def test_stages_that_came_frozen_train_too(self) -> None:
        model = toys.model()
        model.freeze(["first"])
        before = toys.first_weight(model)
        self.build(model=model).step()
        assert not torch.equal(toys.first_weight(model), before)

    def test_a_training_that_diverges_reports_it_and_raises_nothing(self) -> None:
        trainable = self.build(config={"optimizer": "sgd", "lr": 1e30, "batch_size": 16})
        assert not math.isfinite([trainable.step() for _ in range(2)][-1]["val_loss"])

    @pytest.mark.parametrize("batch_size", [1, 96, 10_000])
    def test_any_batch_size_of_at_least_one_trains(self, batch_size: int) -> None:
        assert math.isfinite(self.build(config={"batch_size": batch_size}).step()["train_loss"])

    @pytest.mark.parametrize("batch_size", [0, -1, 2.5, "16", True])
    def test_a_wrong_batch_size_is_refused_by_name(self, batch_size: float | str) -> None:
        with pytest.raises(ValueError, match="`batch_size` must be a whole number of at least 1, but is"):
            self.build(config={"batch_size": batch_size})


def test_a_small_cnn_reads_digits_that_it_never_saw() -> None:
    config: Config = {"optimizer": "adamw", "lr": 2e-3, "batch_size": 32}
    dataset = digits.build(None)
    train, validation = split(dataset.training(), classes=dataset.classes, fraction=0.2, seed=42)
    assert isinstance(train, Part)
    assert isinstance(validation, Part)
    data = SearchData(train, validation, dataset.classes)
    seed_everything(0)
    model = small_cnn.build(config, shape=data.train.shape, n_classes=10, weights="none")
    trainable = from_scratch.build(config, model, data, "cpu")
    for _ in range(12):
        trainable.step()
    unseen = held_out(dataset)
    assert isinstance(unseen, Part)
    assert trainable.evaluate(unseen)["accuracy"] >= 0.97

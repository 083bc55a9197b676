from dataclasses import replace
from typing import ClassVar

import pytest
import torch

from tests.trainables import toys
from tests.trainables.regimes.contract import LEARNS, RegimeContract
from trainables.hyperparameters import Config
from trainables.regimes import pretrain_then_head
from trainables.splits import Part, Pretraining, SearchData


def stripes() -> Pretraining:
    """Another data set, of two classes: images with stripes, and blank ones."""
    part = toys.part(60, seed=11)
    return Pretraining(Part(part.images, (part.labels == 2).long()), ("stripes", "blank"))


class TestPretrainThenHead(RegimeContract):
    regime = pretrain_then_head
    config: ClassVar[Config] = {**LEARNS, "pretrain_epochs": 3, "pretrain_lr": 0.001}
    trains: ClassVar = (("first", "second", "fc"), ("head",))
    epochs: ClassVar = (3,)
    augments = False

    def test_a_wrong_value_is_refused_by_name(self) -> None:
        for key in ("pretrain_epochs", "samples_per_class", "head_samples"):
            with pytest.raises(ValueError, match=f"`{key}` must be a whole number of at least 1, but is 0"):
                self.build(config={key: 0})
        with pytest.raises(ValueError, match="`pretrain_lr` must be above 0, but is 0"):
            self.build(config={"pretrain_lr": 0})

    @pytest.mark.parametrize("key", ["samples_per_class", "head_samples"])
    def test_a_class_with_too_few_images_is_named_with_the_key(self, key: str) -> None:
        with pytest.raises(ValueError, match=f"class 'columns' has 32 of 97 .* for `{key}` = 33, each class needs at"):
            self.build(config={key: 33})

    def test_few_images_of_each_class_are_drawn_by_the_seed(self) -> None:
        losses = []
        for n, seed in ((5, 1), (5, 1), (5, 2), (None, 1)):
            trainable = self.build(seed=seed, config={**self.config, "samples_per_class": n, "pretrain_epochs": 1})
            losses.append(trainable.step()["train_loss"])
        assert losses[0] == losses[1]
        assert len(set(losses)) == 3

    def test_an_epoch_trains_on_as_many_images_of_each_class_as_are_asked_for(self) -> None:
        model = toys.pretrained()
        seen: list[torch.Tensor] = []
        model.stages["first"].register_forward_hook(
            lambda module, inputs, output: seen.append(inputs[0]) if module.training else None
        )
        trainable = self.build(model=model, config={"samples_per_class": 4, "head_samples": 7, "pretrain_epochs": 1})
        trainable.step()
        assert sum(map(len, seen)) == 4 * 3
        model.head.register_forward_hook(
            lambda module, inputs, output: seen.append(inputs[0]) if module.training else None
        )
        seen.clear()
        trainable.step()
        assert sum(map(len, seen)) == 7 * 3

    def test_validation_is_on_the_second_data_set_throughout(self) -> None:
        data = replace(toys.data(), pretraining=stripes())
        trainable = self.build(data=data)
        for _ in range(4):
            metrics = trainable.step()
            assert metrics["val_loss"] == trainable.evaluate(data.validation)["loss"]

    def test_mixing_and_augmentation_belong_to_the_pretraining_alone(self) -> None:
        def head_losses(config: Config) -> float:
            # Nothing but the head can learn anything, so that its phase begins alike whatever came before.
            trainable = self.build(config={**config, "pretrain_epochs": 1, "pretrain_lr": 1e-30, "optimizer": "adam"})
            first = trainable.step()["train_loss"]
            firsts.append(first)
            return trainable.step()["train_loss"]

        firsts: list[float] = []
        plain, mixed = head_losses({}), head_losses({"mixing": "mixup"})
        assert firsts[0] != firsts[1]
        assert mixed == pytest.approx(plain, rel=0.05)


class TestPretrainOnAnotherDataSet(RegimeContract):
    """Of other classes, and few images; which are drawn follows from the seed of the trial alone."""

    regime = pretrain_then_head
    config: ClassVar[Config] = {
        **LEARNS,
        "pretrain_epochs": 2,
        "pretrain_lr": 0.001,
        "samples_per_class": 8,
        "head_samples": 16,
    }
    trains: ClassVar = (("first", "second", "fc"), ("head",))
    epochs: ClassVar = (2,)
    augments = False
    n_trained_on = 16 * len(toys.CLASSES)
    other_seed = 1

    def data(self) -> SearchData:
        return replace(toys.data(), pretraining=stripes())

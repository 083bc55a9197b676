from dataclasses import replace
from typing import ClassVar

import pytest
import torch

from tests.trainables import toys
from tests.trainables.regimes.contract import LEARNS, RegimeContract
from tests.trainables.watching import counted
from trainables.data.dataset import Part, Pretraining, SearchData
from trainables.hyperparameters import Config
from trainables.regimes import pretrain_then_head


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
        with pytest.raises(ValueError, match="`samples_seed` must be a whole number of at least 0, but is -1"):
            self.build(config={"samples_seed": -1})
        for key in ("pretrain_lr", "lr"):
            with pytest.raises(ValueError, match=f"`{key}` must be above 0, but is 0"):
                self.build(config={key: 0})

    @pytest.mark.parametrize("key", ["samples_per_class", "head_samples"])
    def test_a_class_with_too_few_images_is_named_with_the_key(self, key: str) -> None:
        with pytest.raises(ValueError, match=f"class 'columns' has 32 of 97 .* for `{key}` = 33, each class needs at"):
            self.build(config={key: 33})

    def test_few_images_of_each_class_are_drawn_by_a_seed_of_their_own(self) -> None:
        def drawn(seed: int, **few: int) -> set[float]:
            """The brightness of each image that the first phase trains on."""
            model, seen = toys.pretrained(), set()
            model.stages["first"].register_forward_hook(
                lambda module, inputs, output: seen.update(inputs[0].sum(dim=(1, 2, 3)).tolist() * module.training)
            )
            self.build(seed=seed, model=model, config={"pretrain_epochs": 1, **few}).step()
            return seen

        few = drawn(1, samples_per_class=5)
        assert len(few) == 15
        assert drawn(2, samples_per_class=5) == few
        assert drawn(1, samples_per_class=5, samples_seed=1) != few
        assert drawn(1, samples_per_class=7) > few

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
    """Of other classes, and few images."""

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
    is_even = True
    n_trained_on = 16 * len(toys.CLASSES)

    def data(self) -> SearchData:
        return replace(toys.data(), pretraining=stripes())

    def test_the_first_phase_weighs_the_classes_of_its_own_images(self) -> None:
        def first_loss(config: Config) -> float:
            return self.build(config={**config, "pretrain_epochs": 1}).step()["train_loss"]

        weights: Config = {"class_weights": "balanced"}
        assert first_loss(weights) != first_loss({})  # 40 images with stripes, 20 without
        assert first_loss({**weights, "samples_per_class": 8}) == first_loss({"samples_per_class": 8})

    def test_the_first_phase_learns_the_classes_of_the_other_data_set_from_its_images(self) -> None:
        model = toys.model()
        trainable = self.build(model=model, config={"pretrain_lr": 0.01, "batch_size": 8})
        with counted(model) as counts:
            metrics = [trainable.step() for _ in range(4)]
        assert counts["first"] == 4 * (60 + len(self.data().validation))
        assert metrics[-1]["train_accuracy"] > 0.9

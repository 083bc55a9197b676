from typing import ClassVar

import pytest
import torch
from torch import nn

from tests.trainables import toys
from tests.trainables.regimes.contract import RegimeContract
from trainables.regimes import frozen_conv, linear_probe
from trainables.seeding import seed_everything
from trainables.trainable import TransferModel


class TestFrozenConv(RegimeContract):
    regime = frozen_conv
    trains: ClassVar = (("fc", "head"),)

    def test_of_a_model_whose_only_fully_connected_layer_is_its_head_it_is_a_linear_probe(self) -> None:
        runs = []
        for regime in (frozen_conv, linear_probe):
            seed_everything(3)
            trainable = regime.build(self.config, toys.model(), self.data(), "cpu")
            runs.append([trainable.step() for _ in range(2)])
        assert runs[0] == runs[1]

    def test_a_classifier_without_weights_leaves_nothing_to_train(self) -> None:
        stages = {"conv": nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), "fc": nn.ReLU()}
        with pytest.raises(ValueError, match="nothing is left to train: conv would be frozen"):
            self.build(model=TransferModel(stages, nn.Identity(), classifier=["fc"]))

    def test_a_stage_that_works_in_place_does_not_spoil_the_features_that_are_kept(self) -> None:
        conv = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.LayerNorm(16))
        fc = nn.Sequential(nn.SiLU(inplace=True), nn.Linear(16, 8))
        seed_everything(0)
        trainable = self.build(model=TransferModel({"conv": conv, "fc": fc}, nn.Linear(8, 3), classifier=["fc"]))
        trainable.step()
        part = toys.part(30, seed=7)
        first = [trainable.evaluate(part) for _ in range(2)]
        again = trainable.evaluate(part.take(range(30)))
        assert first == [again, again]
        assert not torch.equal(part.images, torch.zeros(30, 1, 8, 8))

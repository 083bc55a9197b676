from typing import ClassVar

import pytest
import torch
from torch import nn

from tests.trainables import toys
from tests.trainables.regimes.contract import RegimeContract
from trainables.regimes import linear_probe
from trainables.trainable import TransferModel


class TestLinearProbe(RegimeContract):
    regime = linear_probe
    trains: ClassVar = (("head",),)

    def test_what_the_head_sees_of_an_image_stays_bit_for_bit(self) -> None:
        model = toys.pretrained()
        trainable = self.build(model=model)
        images = toys.part(9, seed=4).images
        model.eval()
        before = model.features(images)
        trainable.step()
        assert torch.equal(model.features(images), before)

    def test_a_head_without_weights_leaves_nothing_to_train(self) -> None:
        stages = {"all": nn.Sequential(nn.Flatten(), nn.Linear(64, 3))}
        with pytest.raises(ValueError, match="nothing is left to train: all would be frozen, and the rest"):
            self.build(model=TransferModel(stages, nn.Identity()))

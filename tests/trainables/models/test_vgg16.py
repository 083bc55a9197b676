from pathlib import Path
from typing import ClassVar

import pytest
import torch

from tests.trainables.models.pretrained import TorchvisionContract
from trainables.models import vgg16


@pytest.mark.slow
class TestVgg16(TorchvisionContract):
    model = vgg16
    original = "vgg16"
    last = "classifier.6."
    shape = (3, 32, 32)
    stages: ClassVar = ("block1", "block2", "block3", "block4", "block5", "pool", "fc6", "fc7")
    classifier: ClassVar = ("fc6", "fc7")

    @pytest.fixture(autouse=True)
    def _weights_of_the_file(self, file: Path) -> None:
        """To draw 138 million random weights takes seconds, to load them does not."""
        self.weights = str(file)

    def test_random_weights_are_as_torchvision_draws_them(self) -> None:
        first = self.build(weights="none").stages["block1"][0]  # type: ignore[index]
        assert first.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.1)
        assert not first.bias.any()

    def test_the_last_dropout_is_part_of_the_head(self) -> None:
        model = self.build()
        model.freeze(model.stages)
        assert torch.equal(model.features(self.images(1)), model.features(self.images(1)))
        assert not torch.equal(model(self.images(1)), model(self.images(1)))

    def test_images_that_are_too_small_are_refused(self) -> None:
        with pytest.raises(ValueError, match="vgg16 needs images of at least 32 pixels a side"):
            vgg16.build({}, shape=(3, 31, 40), n_classes=2, weights="none")

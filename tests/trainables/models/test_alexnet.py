from typing import ClassVar

import pytest

from tests.trainables.models.pretrained import TorchvisionContract
from trainables.models import alexnet


class TestAlexnet(TorchvisionContract):
    model = alexnet
    original = "alexnet"
    last = "classifier.6."
    stages: ClassVar = ("conv1", "conv2", "conv3", "conv4", "conv5", "pool", "fc6", "fc7")
    classifier: ClassVar = ("fc6", "fc7")

    def test_images_that_are_too_small_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"alexnet needs images of at least 63 pixels a side .*\[64, 62\]"):
            alexnet.build({}, shape=(3, 64, 62), n_classes=2, weights="none")

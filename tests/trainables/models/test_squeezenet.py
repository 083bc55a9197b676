from typing import ClassVar

import pytest

from tests.trainables.models.pretrained import TorchvisionContract
from trainables.models import squeezenet


class TestSqueezenet(TorchvisionContract):
    model = squeezenet
    original = "squeezenet1_0"
    last = "classifier.1."
    stages: ClassVar = ("conv1", *(f"fire{i}" for i in range(2, 10)))

    def test_its_first_convolution_has_96_filters_of_7_by_7(self) -> None:
        assert self.build().get_parameter("stages.conv1.0.weight").shape == (96, 3, 7, 7)

    def test_images_that_are_too_small_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"at least 21 pixels a side .*\[21, 20\]"):
            squeezenet.build({}, shape=(3, 21, 20), n_classes=2, weights="none")
        squeezenet.build({}, shape=(3, 21, 21), n_classes=2, weights="none")(self.images(1)[:, :, :21, :21])

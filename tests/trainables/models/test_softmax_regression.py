from typing import ClassVar

import torch

from tests.trainables.models.contract import ModelContract
from trainables.models import softmax_regression


class TestSoftmaxRegression(ModelContract):
    model = softmax_regression
    stages: ClassVar = ("flatten",)

    def test_it_is_linear_in_the_pixels(self) -> None:
        model = self.build().eval()
        one, other = self.images(2)
        zero = model(torch.zeros(1, *self.shape))
        both = model((one + other)[None])
        torch.testing.assert_close(both, model(one[None]) + model(other[None]) - zero)

    def test_it_has_one_weight_a_pixel_and_class_and_one_bias_a_class(self) -> None:
        n_weights = sum(parameter.numel() for parameter in self.build(n_classes=7).parameters())
        assert n_weights == (3 * 8 * 12 + 1) * 7

from typing import ClassVar

import pytest
import torch
from torch.nn import functional

from tests.trainables.models.contract import ModelContract
from trainables.models import logistic_regression


class TestLogisticRegression(ModelContract):
    model = logistic_regression
    stages: ClassVar = ("flatten",)
    class_counts: ClassVar = (2,)

    def test_it_has_one_weight_a_pixel_and_one_bias(self) -> None:
        assert sum(parameter.numel() for parameter in self.build().parameters()) == 3 * 8 * 12 + 1

    def test_its_cross_entropy_is_the_binary_cross_entropy_of_one_linear_unit(self) -> None:
        model, labels = self.build(), torch.tensor([0, 1, 1, 0, 1])
        weight, bias = model.head.parameters()
        unit = self.images().flatten(1) @ weight[0] + bias
        expected = functional.binary_cross_entropy_with_logits(unit, labels.float())
        torch.testing.assert_close(functional.cross_entropy(model(self.images()), labels), expected)

    def test_a_third_class_is_refused(self) -> None:
        with pytest.raises(
            ValueError, match="`model` logistic_regression needs a data set of 2 classes, but this has 3"
        ):
            self.build(n_classes=3)

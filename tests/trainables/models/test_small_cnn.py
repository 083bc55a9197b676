from typing import ClassVar

import pytest
import torch

from tests.trainables.models.contract import ModelContract
from trainables.hyperparameters import Config
from trainables.models import small_cnn


class TestSmallCnn(ModelContract):
    model = small_cnn
    stages: ClassVar = ("stage1", "stage2")
    configs: ClassVar[tuple[Config, ...]] = ({"width": 6, "dropout": 0.5}, {})

    def test_the_width_is_that_of_the_first_stage_and_half_that_of_the_second(self) -> None:
        model = self.build({"width": 6})
        first = model.stages["stage1"](self.images())
        assert first.shape == (5, 6, 4, 6)
        assert model.stages["stage2"](first).shape == (5, 12, 2, 3)

    def test_dropout_acts_in_training_alone(self) -> None:
        features = torch.ones(4, 12 * 2 * 3)
        head = self.build({"width": 6, "dropout": 0.5}).head
        assert not torch.equal(head(features), head(features))
        head.eval()
        assert torch.equal(head(features), head(features))

    def test_no_dropout_is_the_default(self) -> None:
        head = self.build({"width": 6}).head
        assert torch.equal(head(torch.ones(4, 72)), head(torch.ones(4, 72)))

    @pytest.mark.parametrize(("key", "value"), [("width", 0), ("width", 1.5), ("dropout", 1.0), ("dropout", -0.1)])
    def test_a_wrong_value_is_refused_by_name(self, key: str, value: float) -> None:
        with pytest.raises(ValueError, match=f"`{key}` must be .*, but is {value}"):
            self.build({key: value})

    def test_images_that_are_too_small_are_refused(self) -> None:
        with pytest.raises(ValueError, match="at least 4 pixels a side"):
            small_cnn.build({}, shape=(1, 8, 3), n_classes=2, weights="none")

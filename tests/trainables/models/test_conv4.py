from typing import ClassVar

import pytest
import torch
from torch import nn

from tests.trainables.models.contract import ModelContract
from trainables.hyperparameters import Config
from trainables.models import conv4


class TestConv4(ModelContract):
    model = conv4
    stages: ClassVar = ("conv1", "conv2", "conv3", "conv4", "hidden", "embedding")
    configs: ClassVar[tuple[Config, ...]] = ({"hidden": 20, "embedding": 6, "dropout": 0.5},)

    def test_images_of_32_pixels_reach_the_hidden_layer_as_8192_numbers_and_become_64(self) -> None:
        model = conv4.build({}, shape=(3, 32, 32), n_classes=10, weights="none")
        sizes = {name: tuple(value.shape) for name, value in model.state_dict().items() if value.ndim > 1}
        assert list(sizes.values()) == [
            (64, 3, 3, 3),
            (64, 64, 3, 3),
            (128, 64, 3, 3),
            (128, 128, 3, 3),
            (4096, 8192),
            (64, 4096),
            (10, 64),
        ]

    @torch.no_grad()
    def test_the_second_and_the_fourth_convolution_halve_each_side_and_each_is_normalised(self) -> None:
        model, maps, shapes = self.build(), self.images(), []
        for stage in list(model.stages.values())[:4]:
            maps = stage(maps)
            shapes.append(tuple(maps.shape[1:]))
            assert (maps >= 0).all()
        assert shapes == [(64, 8, 12), (64, 4, 6), (128, 4, 6), (128, 2, 3)]
        assert len([each for each in model.modules() if isinstance(each, nn.BatchNorm2d)]) == 4

    def test_the_features_are_the_embedding_which_is_not_rectified(self) -> None:
        features = self.build().eval().features(self.images())
        assert features.shape == (5, 6)
        assert (features < 0).any()

    def test_dropout_acts_on_the_hidden_units_in_training_alone(self) -> None:
        stage = self.build().stages["hidden"]
        maps = torch.ones(4, 128, 2, 3)
        assert not torch.equal(stage(maps), stage(maps))
        stage.eval()
        assert torch.equal(stage(maps), stage(maps))

    @pytest.mark.parametrize(("key", "value"), [("hidden", 0), ("embedding", 1.5), ("dropout", 1.0)])
    def test_a_wrong_value_is_refused_by_name(self, key: str, value: float) -> None:
        with pytest.raises(ValueError, match=f"`{key}` must be .*, but is {value}"):
            self.build({key: value})

    def test_images_that_are_too_small_are_refused(self) -> None:
        with pytest.raises(ValueError, match="at least 4 pixels a side"):
            conv4.build({}, shape=(1, 8, 3), n_classes=2, weights="none")
        conv4.build({"hidden": 1}, shape=(1, 4, 4), n_classes=2, weights="none")

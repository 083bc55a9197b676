from typing import ClassVar

import pytest
from torch import nn

from tests.trainables import toys
from tests.trainables.regimes.contract import RegimeContract
from trainables.hyperparameters import Config
from trainables.regimes import frozen_fc
from trainables.trainable import TransferModel


class TestFrozenFC(RegimeContract):
    regime = frozen_fc
    trains: ClassVar = (("first", "second", "head"),)

    @pytest.mark.parametrize("train_head", ["yes", 1])
    def test_what_is_no_truth_value_is_refused_by_name(self, train_head: str | int) -> None:
        with pytest.raises(ValueError, match=f"`train_head` must be true or false, but is {train_head!r}"):
            self.build(config={"train_head": train_head})

    def test_a_model_without_fully_connected_layers_before_its_head_is_refused_with_a_way_out(self) -> None:
        with pytest.raises(ValueError, match="this model has none: name the regime fine_tune, or set `train_head` to"):
            self.build(model=toys.model())

    def test_a_model_of_fully_connected_layers_alone_leaves_nothing_to_train(self) -> None:
        stages = {"fc": nn.Sequential(nn.Flatten(), nn.Linear(64, 3))}
        model = TransferModel(stages, nn.Linear(3, 3), classifier=["fc"])
        with pytest.raises(ValueError, match="nothing is left to train: fc, head would be frozen"):
            self.build(model=model, config={"train_head": False})


class TestFrozenFCAndHead(RegimeContract):
    regime = frozen_fc
    config: ClassVar[Config] = {"optimizer": "adam", "lr": 0.01, "batch_size": 16, "train_head": False}
    n_last = 12
    accuracy = 0.75
    trains: ClassVar[tuple[tuple[str, ...], ...]] = (("first", "second"),)


class TestFrozenHeadOfAModelWithoutOtherFullyConnectedLayers(TestFrozenFCAndHead):
    trains: ClassVar = (("first", "second", "fc"),)

    def model(self) -> TransferModel:
        model = toys.pretrained()
        return TransferModel(dict(model.stages.items()), model.head)

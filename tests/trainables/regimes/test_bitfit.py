from typing import ClassVar

import pytest
from torch import Tensor, nn

from tests.trainables import toys
from tests.trainables.regimes.contract import LEARNS, RegimeContract, part_of
from tests.trainables.states import loaded, saved
from trainables.errors import SetupError
from trainables.hyperparameters import Config
from trainables.regimes import bitfit
from trainables.trainable import HEAD, TransferModel


class Scaled(nn.LayerNorm):
    """A normalization layer whose class has another name."""


class NormalizedLinear(nn.Linear):
    """A linear layer whose class has a name like that of a normalization layer."""


class TestBitfit(RegimeContract):
    regime = bitfit
    trains: ClassVar = (("first", "second", "fc", "head"),)

    def is_trained(self, key: str, value: Tensor, trains: tuple[str, ...]) -> bool:
        """In the toy's stages, the vectors and numbers are the biases, and the weights and statistics of BatchNorm."""
        return part_of(key) == HEAD or value.ndim < 2

    def test_the_state_holds_no_frozen_weight(self) -> None:
        state = loaded(saved(self.build()))["weights"]
        assert {key for key, value in state.items() if value.ndim > 1} == {"head.weight"}

    @pytest.mark.parametrize("config", [{}, {"unfreeze_every": 1}], ids=str)
    def test_an_average_holds_no_frozen_weight(self, config: Config) -> None:
        trainable = self.build(config={**LEARNS, "ema": 0.8, **config})
        for _ in range(3):
            trainable.step()
            state = loaded(saved(trainable))
            assert state["average"].keys() == state["weights"].keys()

    def test_gradual_unfreezing_leaves_all_other_weights_frozen(self) -> None:
        model = self.model()
        trainable = self.build(model=model, config={**LEARNS, "unfreeze_every": 1})
        for _ in range(len(model.stages) + 1):
            trainable.step()
            assert not model.get_parameter("stages.second.0.weight").requires_grad
        state = loaded(saved(trainable))["weights"]
        assert {key for key, value in state.items() if value.ndim > 1} == {"head.weight"}
        assert "stages.first.1.bias" in state

    def test_a_model_without_biases_and_norms_is_an_error_that_names_linear_probe(self) -> None:
        stages = {"all": nn.Sequential(nn.Flatten(), nn.Linear(64, 4, bias=False))}
        with pytest.raises(SetupError, match="before the head, and this model has none: name the regime linear_probe"):
            self.build(model=TransferModel(stages, nn.Linear(4, 3)))

    def test_norms_are_known_by_their_class_and_biases_are_vectors(self) -> None:
        attention = nn.MultiheadAttention(4, 2, add_bias_kv=True)
        stages = {"a": nn.Sequential(NormalizedLinear(4, 4), Scaled(4)), "b": nn.Sequential(attention)}
        assert bitfit.biases_and_norms(TransferModel(stages, nn.Linear(4, 3))) == [
            *("stages.a.0.bias", "stages.a.1.weight", "stages.a.1.bias"),
            *("stages.b.0.in_proj_bias", "stages.b.0.out_proj.bias"),
        ]

    def test_a_stage_without_biases_and_norms_is_frozen_and_runs_once_for_each_image(self) -> None:
        plain = {"plain": nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.ReLU(), nn.Dropout(0.5))}
        vectors = {"fc": nn.Sequential(nn.Flatten(), nn.Linear(4 * 36, 8))}
        model = TransferModel({**plain, **vectors}, nn.Linear(8, 3))
        self.build(model=model, config=LEARNS, data=toys.data()).step()
        assert model.frozen == {"plain"}
        assert model.n_frozen_first == 1

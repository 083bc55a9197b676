"""What every model family must keep. A model's test subclasses ModelContract and says what is its own."""

from types import ModuleType
from typing import ClassVar

import pytest
import torch
from torch.nn import functional

from tests.trainables.declarations import Recording, declared
from trainables.hyperparameters import Config
from trainables.trainable import TransferModel


class ModelContract:
    model: ModuleType
    """The module under test."""
    shape: tuple[int, int, int] = (3, 8, 12)
    """(channels, height, width) of the images it is tried on."""
    configs: ClassVar[tuple[Config, ...]] = ({},)
    """Configurations that together read every key that the model declares; the first is the one tried."""
    weights: str = "none"

    def build(self, config: Config | None = None, *, n_classes: int = 7) -> TransferModel:
        torch.manual_seed(0)
        chosen = self.configs[0] if config is None else config
        built: TransferModel = self.model.build(chosen, shape=self.shape, n_classes=n_classes, weights=self.weights)
        return built

    def images(self, n: int = 5) -> torch.Tensor:
        return torch.rand(n, *self.shape, generator=torch.Generator().manual_seed(1))

    def test_stages_and_head_hold_every_parameter_exactly_once(self) -> None:
        model = self.build()
        parts = [*model.stages.values(), model.head]
        held = [id(parameter) for part in parts for parameter in part.parameters()]
        assert len(held) == len(set(held))
        assert set(held) == {id(parameter) for parameter in model.parameters()}
        assert list(model.head.parameters())

    @pytest.mark.parametrize("n_classes", [2, 7])
    def test_the_head_gives_one_logit_a_class(self, n_classes: int) -> None:
        assert self.build(n_classes=n_classes)(self.images()).shape == (5, n_classes)

    def test_gradients_reach_every_parameter(self) -> None:
        model = self.build()
        functional.cross_entropy(model(self.images()), torch.arange(5)).backward()  # type: ignore[no-untyped-call]
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name

    def test_the_weights_follow_from_the_seed_alone(self) -> None:
        one, other = self.build().state_dict(), self.build().state_dict()
        assert all(torch.equal(one[key], other[key]) for key in one)

    def test_in_evaluation_mode_an_image_is_judged_alone_and_always_alike(self) -> None:
        model = self.build().eval()
        together, alone = model(self.images()), model(self.images()[:1])
        torch.testing.assert_close(together[:1], alone)
        assert torch.equal(model(self.images()), together)

    def test_a_model_with_all_stages_frozen_trains_its_head_alone(self) -> None:
        model = self.build()
        model.freeze(model.stages)
        training = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
        assert training == {id(parameter) for parameter in model.head.parameters()}

    def test_unknown_weights_are_refused_in_words(self) -> None:
        with pytest.raises(ValueError, match=r"`weights` must be .*, but is 'no-such-weights'"):
            self.model.build(self.configs[0], shape=self.shape, n_classes=3, weights="no-such-weights")

    def test_every_key_that_is_read_is_declared_and_every_declared_key_is_read(self) -> None:
        read: set[str] = set()
        for config in self.configs:
            recording = Recording(config)
            self.build(recording)
            read |= recording.read
        assert read == set(declared(self.model.__name__))

"""What every model family must keep. A model's test subclasses ModelContract and says what is its own."""

import gc
import re
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.trainables.declarations import Recording, declared
from trainables.data.dataset import Part, SearchData
from trainables.features import feature_cache
from trainables.hyperparameters import Config
from trainables.trainable import TransferModel
from trainables.training import gradient_descent


class ModelContract:
    model: ModuleType
    """The module under test."""
    variant: str | None = None
    """The name within a family of many: what is under test is then `model.variant(variant)`."""
    shape: tuple[int, int, int] = (3, 8, 12)
    """(channels, height, width) of the images it is tried on."""
    stages: ClassVar[tuple[str, ...]]
    """The names of its stages, in order."""
    classifier: ClassVar[tuple[str, ...]] = ()
    """Those of its stages that are no feature extractor."""
    class_counts: ClassVar[tuple[int, ...]] = (2, 7)
    """The numbers of classes it is tried on; the last is the one for all other tests."""
    configs: ClassVar[tuple[Config, ...]] = ({},)
    """Configurations that together read every key that the model declares; the first is the one tried."""
    weights: str = "none"

    @property
    def family(self) -> Any:
        """What offers `build` and, where it has pretrained weights, INPUT, WEIGHTS and `fetch`."""
        return self.model if self.variant is None else self.model.variant(self.variant)

    def build(
        self, config: Config | None = None, *, n_classes: int | None = None, weights: str | None = None
    ) -> TransferModel:
        torch.manual_seed(0)
        built: TransferModel = self.family.build(
            self.configs[0] if config is None else config,
            shape=self.shape,
            n_classes=n_classes or self.class_counts[-1],
            weights=weights or self.weights,
        )
        return built

    def outline(self, config: Config | None = None, *, n_classes: int | None = None) -> TransferModel:
        """The model on the meta device: all that a test needs that reads no weights, whatever their number is."""
        with torch.device("meta"):
            return self.build(config, n_classes=n_classes, weights="none")

    def images(self, n: int = 5) -> torch.Tensor:
        return torch.rand(n, *self.shape, generator=torch.Generator().manual_seed(1))

    def test_its_stages_have_the_stated_names(self) -> None:
        model = self.outline()
        assert tuple(model.stages) == self.stages
        assert model.classifier == self.classifier

    def test_stages_and_head_hold_every_parameter_exactly_once(self) -> None:
        model = self.outline()
        parts = [*model.stages.values(), model.head]
        held = [id(parameter) for part in parts for parameter in part.parameters()]
        assert len(held) == len(set(held))
        assert set(held) == {id(parameter) for parameter in model.parameters()}
        assert list(model.head.parameters())

    def test_the_head_gives_one_logit_a_class(self) -> None:
        for n_classes in self.class_counts:
            model = self.outline(n_classes=n_classes)
            assert model(self.images().to(next(model.parameters()).device)).shape == (5, n_classes)

    def test_gradients_reach_every_parameter(self) -> None:
        model = self.build()
        move_vectors(model)
        labels = torch.arange(5) % self.class_counts[-1]
        functional.cross_entropy(model(self.images()), labels).backward()  # type: ignore[no-untyped-call]
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.any(), name

    @torch.no_grad()
    def test_a_stage_leaves_what_it_is_given_as_it_was(self) -> None:
        model = self.build()
        features = model.preprocess(self.images(2))
        for name, part in [*model.stages.items(), ("head", model.head)]:
            before = features.clone()
            given, features = features, part(features)
            assert torch.equal(given, before), name

    def test_the_weights_follow_from_the_seed_alone(self) -> None:
        one, other = self.build().state_dict(), self.build().state_dict()
        assert all(torch.equal(one[key], other[key]) for key in one)

    def test_in_evaluation_mode_an_image_is_judged_alone_and_always_alike(self) -> None:
        model = self.build().eval()
        together, alone = model(self.images()), model(self.images()[:1])
        torch.testing.assert_close(together[:1], alone)
        assert torch.equal(model(self.images()), together)

    def test_a_model_is_built_in_training_mode_with_all_to_train(self) -> None:
        model = self.outline()
        assert all(module.training for module in model.modules())
        assert all(parameter.requires_grad for parameter in model.parameters())

    def test_a_model_with_all_stages_frozen_trains_its_head_alone(self) -> None:
        model = self.outline()
        model.freeze(model.stages)
        training = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
        assert training == {id(parameter) for parameter in model.head.parameters()}

    def test_its_head_learns_the_same_from_features_of_the_store_as_from_images(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        labels = torch.arange(6) % self.class_counts[-1]
        part, classes = Part(self.images(6), labels), tuple(map(str, range(self.class_counts[-1])))

        def reports() -> list[float]:
            model = self.build()
            model.mark_pretrained()
            model.freeze(model.stages)
            torch.manual_seed(2)
            config: Config = {"lr": 0.01, "batch_size": 4}
            trained = gradient_descent.build(config, model, SearchData(part, Part(part.images, labels), classes), "cpu")
            return [value for _ in range(2) for value in trained.step().values()]

        gc.collect()  # features of equal images that another test left behind would be found again
        monkeypatch.setenv("HPO_CACHE", str(tmp_path))
        found = reports()
        assert len(list(tmp_path.glob("*.bin"))) == 1
        monkeypatch.setenv("HPO_CACHE", "off")
        monkeypatch.setattr(feature_cache.SHARED, "fits", lambda *arguments: False)
        assert found == pytest.approx(reports(), rel=1e-5, abs=1e-5)

    def test_the_head_is_initialised_as_the_configuration_says(self) -> None:
        xavier, default = (
            last_layer(self.build({**self.configs[0], "head_init": name})) for name in ("xavier_normal", "default")
        )
        assert not xavier.get_parameter("bias").any()
        assert default.get_parameter("bias").any()

    def test_unknown_weights_are_refused_in_words(self) -> None:
        with pytest.raises(ValueError, match=r"`weights` must be .*, but is 'no-such-weights'"):
            self.build(weights="no-such-weights")

    @torch.no_grad()
    def test_its_plain_network_gives_the_same_logits_and_needs_no_hpo(self) -> None:
        model = self.build().eval()
        move_vectors(model)
        plain = self.family.plain_network(self.configs[0], model, shape=self.shape, n_classes=self.class_counts[-1])
        imported = re.findall(r"^(?:from|import) (\w+)", plain.code, re.MULTILINE)
        assert set(imported) <= {"torch", "torchvision", "timm"}
        assert {plain.package} - {None} == set(imported) - {"torch"}
        scope: dict[str, Any] = {"torch": torch}
        exec(plain.code, scope)
        state = plain.to_plain(model.state_dict())
        scope["model"].load_state_dict(state)
        logits = scope["model"].eval()(model.preprocess(self.images(2)))
        torch.testing.assert_close(logits, model(self.images(2)), rtol=1e-4, atol=1e-4)
        restored = plain.from_plain(state, model.state_dict())
        assert all(torch.equal(restored[key], value) for key, value in model.state_dict().items())

    def test_every_key_that_is_read_is_declared_and_every_declared_key_is_read(self) -> None:
        read: set[str] = set()
        for config in self.configs:
            recording = Recording(config)
            self.outline(recording)
            read |= recording.read
        assert read == set(declared(self.model.__name__))


def last_layer(model: TransferModel) -> nn.Linear | nn.Conv2d:
    """The layer that has one output a class."""
    return [layer for layer in model.head.modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]


@torch.no_grad()
def move_vectors(model: nn.Module) -> None:
    """Move biases and scales off the zero that some start at, where a scale lets no gradient through."""
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.add_(0.1 * torch.rand(parameter.shape))

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from tests.trainables.models.contract import last_layer
from tests.trainables.models.pretrained import N_CLASSES, PretrainedContract, assert_alike
from trainables import vision
from trainables.data.input_spec import InputSpec
from trainables.errors import SetupError
from trainables.hyperparameters import Config
from trainables.models import _weights, timm
from trainables.trainable import TransferModel

vision.torchvision()  # which timm imports
library: Any = importlib.import_module("timm") if importlib.util.find_spec("timm") else None
needs_timm = pytest.mark.skipif(library is None, reason="timm is an extra")


class TimmContract(PretrainedContract):
    model = timm

    def outline(self, config: Config | None = None, *, n_classes: int | None = None) -> TransferModel:
        """A whole model. Its stages are found by comparing values, which the meta device has not."""
        return self.build(config, n_classes=n_classes)

    def network(self, state: dict[str, Tensor] | None) -> nn.Module:
        torch.manual_seed(5)
        network: nn.Module = library.create_model(self.variant, num_classes=N_CLASSES)
        if state is not None:
            network.load_state_dict(state)
        return network

    def test_its_weights_load_from_safetensors_too(self, tmp_path: Path) -> None:
        path, network = tmp_path / self.family.WEIGHTS, self.network(None)
        _weights.save(network.state_dict(), path)
        assert path.suffix == ".safetensors"
        assert_alike(self.build(weights=str(path)), network, dict(network.state_dict()), self.last, self.images(2))


@needs_timm
class TestResidual(TimmContract):
    variant = "test_resnet"
    last = "fc."
    shape = (3, 32, 40)
    stages: ClassVar = ("stem", "layer1", "layer2", "layer3", "layer4", "last")


@needs_timm
class TestConvnext(TimmContract):
    variant = "test_convnext"
    last = "head.fc."
    shape = (3, 32, 32)
    stages: ClassVar = ("stem", "stages_0", "stages_1", "stages_2", "stages_3", "last")


@needs_timm
class TestEfficientnet(TimmContract):
    variant = "test_efficientnet.r160_in1k"
    last = "classifier."
    shape = (3, 48, 48)
    stages: ClassVar = ("stem", *(f"blocks_{i}" for i in range(5)), "last")


@needs_timm
class TestVisionTransformer(TimmContract):
    variant = "test_vit"
    last = "head."
    shape = (3, 160, 160)
    stages: ClassVar = ("stem", *(f"blocks_{i}" for i in range(6)), "last")

    @pytest.mark.parametrize("sides", [(96, 96), (160, 96)])
    def test_images_of_another_size_get_resampled_position_embeddings(
        self, file: Path, sides: tuple[int, int], caplog: pytest.LogCaptureFixture
    ) -> None:
        built = self.family.build({}, shape=(3, *sides), n_classes=N_CLASSES, weights=str(file))
        state = dict(_weights.read(file))
        grid = [side // 16 for side in sides]
        state["pos_embed"] = library.layers.resample_abs_pos_embed(state["pos_embed"], grid, num_prefix_tokens=1)
        network = library.create_model(self.variant, num_classes=N_CLASSES, img_size=sides)
        network.load_state_dict(state)
        assert_alike(built, network, state, self.last, torch.rand(2, 3, *sides))
        words = f"timm adapted them to timm:test_vit for images of {sides[0]}x{sides[1]} pixels"
        assert [record.getMessage() for record in caplog.records] == [f"`weights`: {file}: {words}"]

    def test_resampled_weights_are_computed_once_and_change_no_random_number(self, file: Path) -> None:
        def build() -> tuple[TransferModel, Tensor]:
            torch.manual_seed(1)
            built = self.family.build({}, shape=(3, 96, 96), n_classes=2, weights=str(file))
            return built, torch.rand(1)

        (first, drawn), hits = build(), timm._adapted_state.cache_info().hits
        second, drawn_again = build()
        assert timm._adapted_state.cache_info().hits == hits + 1
        assert torch.equal(drawn, drawn_again)
        state = second.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in first.state_dict().items())
        torch.save({key: value + 1 for key, value in self.state().items()}, file)
        os.utime(file, ns=(0, 0))
        changed, _ = build()
        assert not torch.equal(next(changed.stages.parameters()), next(first.stages.parameters()))

    def test_images_of_a_size_that_it_cannot_have_are_refused(self, file: Path) -> None:
        for weights in ("none", str(file)):
            with pytest.raises(
                SetupError, match=r"`image_size`: timm:test_vit cannot take images of \[150, 150\]"
            ) as e:
                self.family.build({}, shape=(3, 150, 150), n_classes=2, weights=weights)
            assert e.value.keys == ("image_size",)


@needs_timm
@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("resnet10t", ["stem", "layer1", "layer2", "layer3", "layer4", "last"]),
        ("mobilenetv3_small_050", ["stem", *(f"blocks_{i}" for i in range(6)), "last"]),
        ("efficientnet_b0", ["stem", *(f"blocks_{i}" for i in range(7)), "last"]),
        ("convnext_atto", ["stem", "stages_0", "stages_1", "stages_2", "stages_3", "last"]),
        ("vit_tiny_patch16_224", ["stem", *(f"blocks_{i}" for i in range(12)), "last"]),
    ],
)
def test_networks_become_stages_that_compute_what_they_do(name: str, stages: list[str]) -> None:
    variant = timm.variant(name)
    torch.manual_seed(3)
    model = variant.build({}, shape=(3, 224, 224), n_classes=1000, weights="none").eval()
    assert list(model.stages) == stages
    torch.manual_seed(3)
    network = library.create_model(name, num_classes=0).eval()
    image = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(model.features(image), network(image))  # in another memory format


@needs_timm
def test_the_input_is_that_of_the_weights_that_timm_offers() -> None:
    stated = timm.variant("resnet10t").INPUT
    assert (stated.size, stated.channels, stated.mean, stated.std) == (
        176,
        3,
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
    )


@needs_timm
@pytest.mark.parametrize("name", ["resnet10tt", "resnet10t.no_such_tag"])
def test_an_unknown_name_is_refused_with_the_nearest(name: str) -> None:
    with pytest.raises(ValueError, match=rf"`model`: timm has no network '{name}' \(nearest: resnet10t"):
        timm.variant(name)


@needs_timm
@pytest.mark.parametrize(
    "name", ["efficientvit_m0", "levit_128s", "repvit_m0_9", "iformer_t", "shvit_s1", "convformer_s18", "test_vit"]
)
def test_all_keys_that_a_network_without_classes_lacks_belong_to_the_head(name: str, tmp_path: Path) -> None:
    variant = timm.variant(name)
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in library.create_model(name, num_classes=5).state_dict().items()}
        headless = library.create_model(name, num_classes=0)
    state = {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}
    torch.save(state, tmp_path / "some.pth")
    head = (*variant.last_layers, *timm._head_keys(name))
    found = _weights.fit(headless, tmp_path / "some.pth", head=head)
    assert found.difference == ""
    assert found.state.keys() == headless.state_dict().keys() < state.keys()


@needs_timm
def test_a_network_whose_head_has_a_batchnorm_takes_its_own_state_dict(tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = library.create_model("efficientvit_m0", num_classes=5).eval()
    torch.save(network.state_dict(), tmp_path / "some.pth")
    model = timm.variant("efficientvit_m0").build(
        {}, shape=(3, 224, 224), n_classes=5, weights=str(tmp_path / "some.pth")
    )
    image = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        expected = network.forward_head(network.forward_features(image), pre_logits=True)
        torch.testing.assert_close(model.eval().features(image), expected)


@needs_timm
def test_weights_that_timm_does_not_resample_are_refused_by_the_size_of_images(tmp_path: Path) -> None:
    path = tmp_path / "some.pth"
    torch.save(library.create_model("pit_ti_224", num_classes=5).state_dict(), path)
    words = rf"cannot take images of \[96, 96\] with the weights {path}, which are for 224, and timm does not resample"
    with pytest.raises(SetupError, match=words) as caught:
        timm.variant("pit_ti_224").build({}, shape=(3, 96, 96), n_classes=2, weights=str(path))
    assert caught.value.keys == ("image_size",)


@needs_timm
def test_keys_that_timm_would_ignore_are_refused(tmp_path: Path) -> None:
    """timm loads the state dicts of this network even if keys are missing or unknown."""
    state = library.create_model("dla46_c", num_classes=5).state_dict()
    for wrong in ({**state, "another.weight": torch.ones(1)}, {key: state[key] for key in list(state)[1:]}):
        torch.save(wrong, tmp_path / "some.pth")
        with pytest.raises(SetupError, match=r"some\.pth holds weights of another model than timm:dla46_c"):
            timm.variant("dla46_c").build({}, shape=(3, 64, 64), n_classes=2, weights=str(tmp_path / "some.pth"))


@needs_timm
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tf_efficientnet_b0_ns", "tf_efficientnet_b0.ns_jft_in1k"),
        ("vit_base_patch16_224_in21k", "vit_base_patch16_224.augreg_in21k"),
        ("swin_base_patch4_window7_224_in22k", "swin_base_patch4_window7_224.ms_in22k"),
    ],
)
def test_an_old_name_means_the_network_that_replaced_it(old: str, new: str, caplog: pytest.LogCaptureFixture) -> None:
    timm._current_name.cache_clear()
    assert timm.variant(old) == timm.variant(new)
    assert [record.getMessage() for record in caplog.records] == [f"`model`: timm:{old} is now named timm:{new}"]


@needs_timm
def test_a_name_that_timm_has_removed_is_refused() -> None:
    removed = [name for name, current in library.models.get_deprecated_models().items() if current is None]
    for name in removed[:1]:
        with pytest.raises(SetupError, match=f"timm has removed the network '{name}'"):
            timm.variant(name)


@needs_timm
def test_images_that_a_network_cannot_take_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`image_size`: timm:inception_v3 cannot take images of \[16, 16\]"):
        timm.variant("inception_v3").build({}, shape=(3, 16, 16), n_classes=2, weights="none")


@needs_timm
def test_the_arrangement_draws_nothing_at_random() -> None:
    torch.manual_seed(3)
    model = timm.variant("test_resnet").build({}, shape=(3, 32, 32), n_classes=2, weights="none")
    torch.manual_seed(3)
    library.create_model("test_resnet", num_classes=0)
    assert torch.equal(last_layer(model).weight, nn.Linear(96, 2).weight)


@needs_timm
def test_a_network_without_weights_names_none() -> None:
    assert hasattr(timm.variant("resnet10t"), "WEIGHTS")
    assert not hasattr(timm.variant("resnet200"), "WEIGHTS")


@needs_timm
def test_a_download_that_fails_says_where_to_put_the_weights_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **others: object) -> None:
        raise OSError("\nno connection\nmore")

    monkeypatch.setattr(library, "create_model", fail)
    path = tmp_path / "some.safetensors"
    with pytest.raises(SetupError, match=rf"timm:resnet10t, save its state dict at {path} by hand: no connection$"):
        timm.Pretrained("resnet10t", InputSpec(), False, (), "some").fetch(path)
    assert not path.exists()


def test_without_timm_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # what Python calls a module that is not there
    with pytest.raises(SetupError, match=r"need the package timm: pip install 'hpo\[timm\]'"):
        timm.variant("resnet10t")

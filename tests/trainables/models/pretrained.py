"""What a model with pretrained weights must keep besides: its file, its network, its download."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.trainables.models.contract import ModelContract, last_layer
from trainables import vision
from trainables.errors import SetupError
from trainables.models import _weights
from trainables.trainable import TransferModel

N_CLASSES = 7


class PretrainedContract(ModelContract):
    last: str
    """How the keys of the network's last layer begin."""

    def network(self, state: dict[str, Tensor] | None) -> nn.Module:
        """The network as its library builds it, for 7 classes: with the weights of `state`, or with any."""
        raise NotImplementedError

    def state(self) -> dict[str, Tensor]:
        """Weights for the network that differ from key to key."""
        return dict(self.network(None).state_dict())

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        """The weights in a file, named as the library names them."""
        path = tmp_path / "some.pth"
        torch.save(self.state(), path)
        return path

    def test_the_stages_have_the_weights_of_the_file_bit_for_bit(self, file: Path) -> None:
        expected = {key: value for key, value in _weights.read(file).items() if not key.startswith(self.last)}
        stages = self.build(weights=str(file)).stages.state_dict()
        assert len(expected) == len(stages) > 0
        for (key, value), loaded in zip(expected.items(), stages.values(), strict=True):
            assert torch.equal(value, loaded), key

    @torch.no_grad()
    def test_what_becomes_of_one_network_changes_no_other(self, file: Path) -> None:
        one, other = (self.build(weights=str(file)) for _ in range(2))
        expected = {key: value.clone() for key, value in other.state_dict().items()}
        for value in one.state_dict().values():
            value.fill_(7)
        assert all(torch.equal(value, expected[key]) for key, value in other.state_dict().items())
        assert not {*map(id, one.modules())} & {*map(id, other.modules())}

    def test_the_head_is_fresh(self, file: Path) -> None:
        one, other = (last_layer(self.build(weights=path)).weight for path in (str(file), str(file)))
        given = _weights.read(file)[f"{self.last}weight"]
        assert torch.equal(one, other)
        assert one.shape == given.shape
        assert not torch.equal(one, given)

    def test_stages_and_head_compute_what_the_network_does(self, file: Path) -> None:
        state = _weights.read(file)
        assert_alike(self.build(weights=str(file)), self.network(state), state, self.last, self.images(2))

    def test_weights_of_another_model_are_refused_by_their_first_difference(self, file: Path, tmp_path: Path) -> None:
        state = dict(torch.load(file, weights_only=True))
        key = next(iter(state))
        for wrong, words in (
            ({name: value for name, value in state.items() if name != key}, f"it has no '{key}'"),
            (state | {"another.weight": torch.ones(1)}, "it has 'another.weight', which the model has not"),
            (state | {key: torch.ones(2, 3)}, f"'{key}' is (2, 3), but in the model"),
        ):
            torch.save(wrong, tmp_path / "wrong.pth")
            with pytest.raises(SetupError) as caught:
                self.build(weights=str(tmp_path / "wrong.pth"))
            assert "wrong.pth holds weights of another model than" in str(caught.value)
            assert words in str(caught.value)

    @torch.no_grad()
    def test_it_takes_images_of_the_stated_size(self) -> None:
        stated = self.family.INPUT
        assert stated.channels == len(stated.mean) == len(stated.std) == 3
        image = torch.zeros(1, stated.channels, stated.size, stated.size)
        model: TransferModel = self.family.build({}, shape=image.shape[1:], n_classes=2, weights=self.weights)
        assert model.eval()(image).isfinite().all()

    def test_images_of_other_channels_are_refused(self) -> None:
        with pytest.raises(ValueError, match="needs images of 3 channels, but has 1"):
            self.family.build({}, shape=(1, *self.shape[1:]), n_classes=2, weights="none")


class TorchvisionContract(PretrainedContract):
    original: str
    """The network's name in torchvision."""
    shape = (3, 64, 64)

    def network(self, state: dict[str, Tensor] | None) -> nn.Module:
        with torch.device("meta"):
            network: nn.Module = vision.models().get_model(self.original, num_classes=N_CLASSES)
        network.load_state_dict(self.state() if state is None else state, assign=True)
        return network

    def state(self) -> dict[str, Tensor]:
        """Each row of a matrix holds one number, so that the file is small, and the variances are positive."""
        with torch.device("meta"):
            network: nn.Module = vision.models().get_model(self.original, num_classes=N_CLASSES)
        generator = torch.Generator().manual_seed(2)
        return {key: _some(value, generator) for key, value in network.state_dict().items()}

    def test_it_loads_the_imagenet_weights(self) -> None:
        if not (folder := os.environ.get("HPO_DATA")) or not (Path(folder) / "weights" / self.family.WEIGHTS).exists():
            pytest.skip("HPO_DATA names no folder with these weights")
        path = _weights.find(self.family.WEIGHTS, Path(folder) / "weights", self.original)
        state = _weights.read(path)
        network: nn.Module = vision.models().get_model(self.original)
        network.load_state_dict(state)
        assert_alike(self.build(n_classes=1000, weights=str(path)), network, state, self.last, self.images(2))

    def test_it_downloads_the_weights_of_its_network(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What torch's cache holds is not downloaded again, so a stand-in there stands for the download."""
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        url = vision.models().get_model_weights(self.original).IMAGENET1K_V1.url
        cached = tmp_path / "hub" / "checkpoints" / url.rpartition("/")[2]
        cached.parent.mkdir(parents=True)
        torch.save({"some.weight": torch.ones(3)}, cached)
        self.family.fetch(tmp_path / "new" / self.family.WEIGHTS)
        saved = _weights.read(tmp_path / "new" / self.family.WEIGHTS)
        assert {key: value.tolist() for key, value in saved.items()} == {"some.weight": [1, 1, 1]}

    def test_without_a_connection_the_download_says_what_to_do(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        for name in ("https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.delenv("no_proxy", raising=False)
        path = tmp_path / self.family.WEIGHTS
        with pytest.raises(SetupError, match=rf"cannot download https.*{self.original}.*, save that file at {path}"):
            self.family.fetch(path)
        assert not path.exists()


def assert_alike(model: TransferModel, network: nn.Module, state: dict[str, Tensor], last: str, images: Tensor) -> None:
    """A model gives what the network gives, once its last layer has the weights of the network's; dropout included."""
    assert dropout(model) == dropout(network)
    given: dict[str, Any] = {name: state[f"{last}{name}"] for name in ("weight", "bias")}
    last_layer(model).load_state_dict(given)
    with torch.no_grad():
        expected = network.eval()(images)
        assert expected.std() > 0
        torch.testing.assert_close(model.eval()(images), expected)


def dropout(module: nn.Module) -> list[float]:
    """How much each dropout layer drops, in order."""
    return [layer.p for layer in module.modules() if isinstance(layer, nn.Dropout)]


def _some(tensor: Tensor, generator: torch.Generator) -> Tensor:
    if not tensor.is_floating_point():
        return torch.full(tensor.shape, 3, dtype=tensor.dtype)
    if tensor.ndim == 1:
        return torch.rand(tensor.shape, generator=generator) + 0.1
    rows = torch.randn(tensor.shape[0], *[1] * (tensor.ndim - 1), generator=generator)
    return (2.5 * rows / tensor[0].numel()).expand(tensor.shape)

"""The networks of timm, named `timm:NAME` with a name from timm's list.

timm is an optional dependency. It is imported only when one of its networks or optimizers is used.

A network is split into stages at its joints: the stem, each block of a vision transformer or each group of blocks of
another network, and the last norms and pooling (see `_timm_stages.py`). The stages, one after another, give exactly the
output of the network. A network for which this fails is a single stage "network".

Some networks, such as vision transformers, are built for one size of images. They are built for the size that the
images have. Position embeddings and similar weights of a file are resampled to this size by timm.
"""

from __future__ import annotations

import difflib
import importlib
import logging
import warnings
from dataclasses import dataclass
from functools import lru_cache, partial
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainables import vision
from trainables.data.input_spec import InputSpec
from trainables.errors import DownloadError, SetupError, reason
from trainables.hyperparameters import Config
from trainables.models import _head_dropout, _timm_drop_path, _timm_layers, _timm_stages, _weights
from trainables.models._plain import PlainNetwork
from trainables.trainable import TransferModel

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = ("trainables.models", "trainables.models._head_dropout", "trainables.models._timm_drop_path")
MISFITS = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)
"""What networks of timm raise for images of a size that they cannot take, and for weights that do not fit."""

logger = logging.getLogger(__name__)


def variant(name: str) -> Variant:
    """Return the timm network `name`, which may end in a tag that selects its weights ("resnet10t.c3_in1k").

    Old names that timm has replaced mean the network that replaced them. It is a Pretrained if timm has weights for it.
    Raises SetupError, with similar names, if timm has no such network, or if timm is not installed.
    """
    timm = _timm()
    name = _current_name(name)
    try:
        found = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    except RuntimeError:  # timm raises it for a known network with an unknown tag
        found = None
    if found is None:
        raise SetupError(f"`model`: timm has no network {name!r}{_nearest(name)}")
    channels, size, _ = found.input_size
    classifier = (found.classifier,) if isinstance(found.classifier, str) else found.classifier or ()
    expected = InputSpec(size=size, channels=channels, mean=tuple(found.mean), std=tuple(found.std))
    last_layers = tuple(f"{layer}." for layer in classifier)
    if not found.has_weights:
        return Variant(name, expected, found.fixed_input_size, last_layers)
    return Pretrained(name, expected, found.fixed_input_size, last_layers, f"timm-{name}.safetensors")


@dataclass(frozen=True)
class Variant:
    """One network of timm as a model plug-in: it has the attributes that the file of a model defines."""

    name: str
    INPUT: InputSpec
    fixed_size: bool
    """Whether the network is built for images of one size, which is INPUT.size unless another one is asked for."""
    last_layers: tuple[str, ...]
    """The prefixes of the keys of the layers that the head replaces."""

    def build(self, config: Config, *, shape: tuple[int, int, int], n_classes: int, weights: str) -> TransferModel:
        """Build the network for images of `shape` (channels, height, width).

        `weights` is "none" for random weights, or the path of a state dict with timm's keys. Raises ValueError for a
        wrong value in `config`, and SetupError if the images or the weights do not fit, or for `drop_path` if the
        network has none.
        """
        channels, *sides = shape
        if channels != self.INPUT.channels:
            raise SetupError(f"timm:{self.name} needs images of {self.INPUT.channels} channels, but has {channels}")
        drop_path = _timm_drop_path.rate(config, self.name, _timm().create_model)
        network = self._network(sides, drop_path=drop_path)
        if weights != "none":
            self._load(network, sides, weights)
        image = torch.linspace(-1, 1, prod(shape)).reshape(1, *shape)
        stages, features = _split(network, image, self.name)
        head = _head_dropout.linear(features.shape[1], n_classes, config)
        layers = _timm_layers.read(network, stages, self.last_layers)
        return TransferModel(stages, head, layers=layers.numbers, undecayed=layers.undecayed)

    def plain_network(
        self, config: Config, model: TransferModel, *, shape: tuple[int, int, int], n_classes: int
    ) -> PlainNetwork:
        """Return the network as timm builds it.

        If timm's own last layer is not one linear layer, such a layer follows the network without its last layers.
        """
        sides = list(shape[1:])
        size = f", img_size={tuple(sides)}" if self.fixed_size and sides != self._own_sides else ""
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            network = self._network(sides)
            whole = self._network(sides, num_classes=n_classes).state_dict()
        names = _timm_stages.names(network, list(model.stages))
        own = {key: tuple(value.shape) for key, value in whole.items() if key not in network.state_dict()}
        n_features = model.head.in_features
        call, last = f"timm.create_model({self.name!r}, num_classes=", "".join(self.last_layers[:1])
        if own == {f"{last}weight": (n_classes, n_features), f"{last}bias": (n_classes,)}:
            code, names = f"model = {call}{n_classes}{size})", {**names, "head.": last}
        else:
            code = f"model = torch.nn.Sequential({call}0{size}), torch.nn.Linear({n_features}, {n_classes}))"
            names = {**{key: f"0.{name}" for key, name in names.items()}, "head.": "1."}
        return PlainNetwork(f"import timm\nimport torch\n\n{code}\n", names, "timm")

    def _load(self, network: nn.Module, sides: list[int], path: str) -> None:
        """Load the weights at `path` into a network without its last layers."""
        head = (*self.last_layers, *_head_keys(self.name))
        found = _weights.fit(network, path, head=head)
        if not found.difference:
            _weights.say(path, found.changes)
            network.load_state_dict(found.state, strict=False)
            return
        status = Path(path).stat()
        try:
            network.load_state_dict(_adapted_state(self, tuple(sides), path, status.st_size, status.st_mtime_ns))
        except MISFITS as error:
            if self._fits_own_size(sides, path, head):
                message = f" with the weights {path}, which are for {self.INPUT.size}, and timm does not resample them"
                raise _wrong_size(self.name, sides, error, message) from error
            raise _weights.misfit(path, found, f"timm:{self.name}") from error
        size = "x".join(map(str, sides))
        _weights.say(path, (*found.changes, f"timm adapted them to timm:{self.name} for images of {size} pixels"))

    def _adapt(self, sides: list[int], path: str) -> dict[str, Tensor]:
        """Return the weights at `path` as timm adapts them to the network for images of these sides."""
        network = self._network(sides)
        state = _weights.fit(network, path, head=(*self.last_layers, *_head_keys(self.name))).state
        adapted = self._adapted_network(sides, state)
        if network.state_dict().keys() != state.keys():
            self._check_strict(sides, state)
        return dict(adapted.state_dict())

    def _adapted_network(self, sides: list[int], state: dict[str, Tensor]) -> nn.Module:
        """Build the network with a state dict that timm adapts to it.

        timm resamples position embeddings, and converts the state dicts of the original authors of some networks. It
        does so only while it builds a network.
        """
        cfg = {"state_dict": state, "num_classes": 0, "label_offset": None}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as the one that resampling could be faster
            return self._network(sides, pretrained=True, pretrained_cfg_overlay=cfg)

    def _check_strict(self, sides: list[int], state: dict[str, Tensor]) -> None:
        """Raise a LookupError if timm ignores keys that do not fit this network. It does so for a few."""
        try:
            self._adapted_network(sides, {**state, "no.such.key": torch.zeros(1)})
        except RuntimeError:
            return
        raise LookupError("timm does not check the keys of this network")

    def _fits_own_size(self, sides: list[int], path: str, head: tuple[str, ...]) -> bool:
        """Whether another size of images is the only reason why the weights do not fit."""
        if sides == self._own_sides:
            return False
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            return not _weights.fit(self._network(self._own_sides), path, head=head).difference

    def _network(
        self, sides: list[int], *, num_classes: int = 0, drop_path: float | None = None, **options: Any
    ) -> nn.Module:
        """Build the network for images of these sides (height, width) in pixels. By default without its last layers."""
        create = partial(_timm().create_model, self.name, num_classes=num_classes, drop_path_rate=drop_path)
        if not self.fixed_size or sides == self._own_sides:
            network: nn.Module = create(**options)
            return network
        try:
            network = create(img_size=tuple(sides), **options)
        except MISFITS as error:
            if options:
                raise
            raise _wrong_size(self.name, sides, error, f" (its own size is {self.INPUT.size})") from error
        return network

    @property
    def _own_sides(self) -> list[int]:
        """The sides of the images that the network is built for unless others are asked for."""
        size = self.INPUT.size
        assert size is not None, "timm states a size for each network"
        return [size, size]


@dataclass(frozen=True)
class Pretrained(Variant):
    """A network of timm whose weights can be downloaded."""

    WEIGHTS: str

    def fetch(self, path: Path) -> None:
        """Download the weights and save the state dict at `path`. Raises DownloadError if the download fails."""
        try:
            network = _timm().create_model(self.name, pretrained=True)
        except Exception as error:  # the connection, timm and its hub each raise their own errors
            message = f"cannot download the weights of timm:{self.name}, save its state dict at {path} by hand"
            raise DownloadError(f"{message}: {reason(error)}") from error
        _weights.save(network.state_dict(), path)


def _timm() -> Any:
    vision.torchvision()  # timm imports torchvision; this makes the import work even if its C++ library does not load
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        if error.name != "timm":
            raise
        raise SetupError("`model`: the networks of timm need the package timm: pip install 'hpo[timm]'") from error


@lru_cache
def _current_name(name: str) -> str:
    """The name that timm uses now for a network. Logs a warning if it is not `name`. A SetupError if it was removed."""
    replaced = _timm().models.get_deprecated_models()
    if name not in replaced:
        return name
    if (current := replaced[name]) is None:
        raise SetupError(f"`model`: timm has removed the network {name!r}{_nearest(name)}")
    logger.warning("`model`: timm:%s is now named timm:%s", name, current)
    return str(current)


def _nearest(name: str) -> str:
    """The names of timm's networks that are most similar to `name`, and how to list all, for an error."""
    timm = _timm()
    known = timm.list_models()
    near = difflib.get_close_matches(name, [*known, *timm.list_pretrained()])
    similar = f"nearest: {', '.join(near)}; " if near else ""
    return f" ({similar}`timm.list_models()` lists all {len(known)})"


@lru_cache(maxsize=2)
def _adapted_state(variant: Variant, sides: tuple[int, ...], path: str, size: int, mtime_ns: int) -> dict[str, Tensor]:
    """The adapted weights of a file. They are cached, because all trials of a process start from the same file.

    `size` and `mtime_ns` are part of the cache key, so a file that changed is read again. No random state changes, so a
    trial that finds the weights in the cache draws the same numbers as one that does not.
    """
    with torch.random.fork_rng(devices=[]):
        return variant._adapt(list(sides), path)


@lru_cache
def _head_keys(name: str) -> tuple[str, ...]:
    """The keys of the last layers of a network: those that the network without classes does not have."""
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        whole, headless = (_timm().create_model(name, num_classes=n).state_dict() for n in (2, 0))
    return tuple(key for key in whole if key not in headless)


@torch.no_grad()
def _split(network: nn.Module, image: Tensor, name: str) -> tuple[dict[str, nn.Module], Tensor]:
    """Split a network into stages. Returns them, and the features of an image (1, channels, height, width)."""
    network.eval()
    try:
        features: Tensor = network(image)
    except MISFITS as error:
        raise _wrong_size(name, list(image.shape[2:]), error) from error
    if features.ndim != 2:
        raise SetupError(f"`model`: timm:{name} gives no vector for an image, but {tuple(features.shape[1:])}")
    stages = _timm_stages.split(network, image)
    if not _compute(stages, image, features):
        stages = {_timm_stages.WHOLE: network}
    network.train()
    return stages, features


def _wrong_size(name: str, sides: list[int], error: Exception, detail: str = "") -> SetupError:
    """Return the error for images of `sides` (height, width). `detail` follows the sides in its message."""
    message = f"`image_size`: timm:{name} cannot take images of {sides}{detail}: {reason(error)}"
    return SetupError(message, keys=("image_size",))


def _compute(stages: dict[str, nn.Module], image: Tensor, features: Tensor) -> bool:
    """Whether the stages, applied to an image one after another, give exactly these features."""
    values = image
    try:
        for stage in stages.values():
            values = stage(values)
    except Exception:  # modules that do not fit together raise all kinds of errors
        return False
    return torch.equal(values, features)

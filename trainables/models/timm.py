"""The networks of timm, named `timm:NAME` with a name from timm's list.

timm is an optional dependency. Only this file imports it, and only when one of its networks is used.

A network is split into stages if its children, applied one after another, give the same output as the network. All
children before the first group of blocks are the stage "stem". Each group of blocks is a stage with its name in timm.
All children after the last group are the stage "last". This works for residual networks, ConvNeXt, EfficientNet,
MobileNet and similar networks. Any other network, such as a vision transformer, is a single stage "network".
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainables import vision
from trainables.data.input_spec import InputSpec
from trainables.errors import SetupError, reason
from trainables.hyperparameters import Config
from trainables.models import _heads
from trainables.models._weights import load_into, save
from trainables.trainable import TransferModel

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = ("trainables.models",)


def variant(name: str) -> Variant:
    """Return the timm network `name`, which may end in a tag that selects its weights ("resnet10t.c3_in1k").

    It is a Pretrained if timm has weights for it. Raises SetupError, with similar names, if timm has no such network,
    or if timm is not installed.
    """
    timm = _timm()
    try:
        found = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    except RuntimeError:  # timm raises it for a known network with an unknown tag
        found = None
    if found is None:
        near = difflib.get_close_matches(name, [*timm.list_models(), *timm.list_pretrained()])
        nearest = f" (nearest: {', '.join(near)})" if near else ""
        raise SetupError(f"`model`: timm has no network {name!r}{nearest}")
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
    """Whether the network only takes images of size INPUT.size."""
    last_layers: tuple[str, ...]
    """The prefixes of the keys of the layers that the head replaces."""

    def build(self, config: Config, *, shape: tuple[int, int, int], n_classes: int, weights: str) -> TransferModel:
        """Build the network for images of `shape` (channels, height, width).

        `weights` is "none" for random weights, or the path of a state dict with timm's keys. Raises SetupError if the
        images or the weights do not fit.
        """
        self._check(shape)
        network = _timm().create_model(self.name, num_classes=0)
        if weights != "none":
            load_into(network, weights, head=self.last_layers, model=f"timm:{self.name}")
        image = torch.linspace(-1, 1, prod(shape)).reshape(1, *shape)
        stages, features = _split(network, image, self.name)
        return TransferModel(stages, _heads.linear(features.shape[1], n_classes, config))

    def _check(self, shape: tuple[int, int, int]) -> None:
        channels, *sides = shape
        if channels != self.INPUT.channels:
            raise SetupError(f"timm:{self.name} needs images of {self.INPUT.channels} channels, but has {channels}")
        if self.fixed_size and sides != [self.INPUT.size] * 2:
            message = f"`image_size` must be {self.INPUT.size} for timm:{self.name}, but images are {sides}"
            raise SetupError(message, keys=("image_size",))


@dataclass(frozen=True)
class Pretrained(Variant):
    """A network of timm whose weights can be downloaded."""

    WEIGHTS: str

    def fetch(self, path: Path) -> None:
        """Download the weights and save the state dict at `path`. Raises SetupError if the download fails."""
        try:
            network = _timm().create_model(self.name, pretrained=True)
        except Exception as error:  # the connection, timm and its hub each raise their own errors
            message = f"cannot download the weights of timm:{self.name}, save its state dict at {path} by hand"
            raise SetupError(f"{message}: {reason(error)}") from error
        save(network.state_dict(), path)


def _timm() -> Any:
    vision.torchvision()  # timm imports torchvision; this makes the import work even if its C++ library does not load
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        if error.name != "timm":
            raise
        raise SetupError("`model`: the networks of timm need the package timm: pip install 'hpo[timm]'") from error


@torch.no_grad()
def _split(network: nn.Module, image: Tensor, name: str) -> tuple[dict[str, nn.Module], Tensor]:
    """Split a network into stages. Returns them, and the features of an image (1, channels, height, width)."""
    network.eval()
    try:
        features: Tensor = network(image)
    except (RuntimeError, AssertionError) as error:
        sides = list(image.shape[2:])
        message = f"`image_size`: timm:{name} cannot take images of {sides}: {reason(error)}"
        raise SetupError(message, keys=("image_size",)) from error
    if features.ndim != 2:
        raise SetupError(f"`model`: timm:{name} gives no vector for an image, but {tuple(features.shape[1:])}")
    stages = _candidate_stages(network)
    if not _compute(stages, image, features):
        stages = {"network": network}
    network.train()
    return stages, features


def _compute(stages: dict[str, nn.Module], image: Tensor, features: Tensor) -> bool:
    """Whether the stages, applied to an image one after another, give exactly these features."""
    values = image
    try:
        for stage in stages.values():
            values = stage(values)
    except Exception:  # modules that do not fit together raise all kinds of errors
        return False
    return torch.equal(values, features)


def _candidate_stages(network: nn.Module) -> dict[str, nn.Module]:
    """The children of a network in order, grouped into stages. They may compute something else than the network."""
    # The modules whose outputs timm offers as features, such as "layer1", or "stages.0" for a child of "stages".
    feature_modules = {info["module"] for info in getattr(network, "feature_info", None) or ()}
    containers = {name.partition(".")[0] for name in feature_modules if "." in name}
    stages: dict[str, nn.Module] = {}
    pending: list[nn.Module] = []
    for name, module in _children(network, containers):
        is_group = (name in feature_modules or "." in name) and _has_layers(module)
        if is_group and not stages and pending:
            stages["stem"], pending = nn.Sequential(*pending), []
        pending.append(module)
        if is_group:
            stages[name.replace(".", "_")] = pending[0] if len(pending) == 1 else nn.Sequential(*pending)
            pending = []
    if not stages:
        return {"network": network}
    return stages | ({"last": nn.Sequential(*pending)} if pending else {})


def _children(network: nn.Module, containers: set[str]) -> Iterator[tuple[str, nn.Module]]:
    """The children of a network with their names. A container is replaced by its own children."""
    for name, module in network.named_children():
        if name in containers and isinstance(module, nn.Sequential):
            yield from ((f"{name}.{child_name}", child) for child_name, child in module.named_children())
        else:
            yield name, module


def _has_layers(module: nn.Module) -> bool:
    """Whether a child of the module has weights."""
    return any(True for child in module.children() for _ in child.parameters())

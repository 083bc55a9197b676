"""The networks of timm: `timm:NAME`, where NAME is one of those that timm lists.

timm is an extra of this project: it is imported here alone, and only when one of its networks is asked for.

A network becomes stages where its children, one after another, do just what it does: what stands before the
first group of blocks is "stem", each group of blocks is a stage by its name in timm, and what follows
the last one is "last". So it is for residual networks, ConvNeXt, EfficientNet, MobileNet and others of
that form. Any other network (a vision transformer, say) is the one stage "network".
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
    """The network that timm calls `name`, which may end in one of its tags of weights ("resnet10t.c3_in1k").

    A SetupError names the nearest known ones where it is unknown, or says how to install timm.
    """
    timm = _timm()
    try:
        found = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    except RuntimeError:  # a known network with an unknown tag
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
    """What the file of a model offers, for one network of timm."""

    name: str
    INPUT: InputSpec
    fixed_size: bool
    """Whether it takes images of INPUT.size alone."""
    last_layers: tuple[str, ...]
    """How the keys of the layers begin that the head replaces."""

    def build(self, config: Config, *, shape: tuple[int, int, int], n_classes: int, weights: str) -> TransferModel:
        """For images of `shape` (channels, height, width); random weights, or those at a path, in timm's naming.

        A SetupError where the network cannot take such images, and where the file does not fit.
        """
        self._check(shape)
        network = _timm().create_model(self.name, num_classes=0)
        if weights != "none":
            load_into(network, weights, head=self.last_layers, model=f"timm:{self.name}")
        image = torch.linspace(-1, 1, prod(shape)).reshape(1, *shape)
        stages, features = _arranged(network, image, self.name)
        return TransferModel(stages, _heads.linear(features.shape[1], n_classes, config))

    def _check(self, shape: tuple[int, int, int]) -> None:
        channels, *sides = shape
        if channels != self.INPUT.channels:
            raise SetupError(f"timm:{self.name} needs images of {self.INPUT.channels} channels, but has {channels}")
        if self.fixed_size and sides != [self.INPUT.size] * 2:
            words = f"`image_size` must be {self.INPUT.size} for timm:{self.name}, but images are {sides}"
            raise SetupError(words, keys=("image_size",))


@dataclass(frozen=True)
class Pretrained(Variant):
    """A network of timm with weights to download."""

    WEIGHTS: str

    def fetch(self, path: Path) -> None:
        """Download the weights and save the state dict at `path`. A SetupError where the download fails."""
        try:
            network = _timm().create_model(self.name, pretrained=True)
        except Exception as error:  # the network, timm and the hub of its weights fail in ways of their own
            words = f"cannot download the weights of timm:{self.name}, save its state dict at {path} by hand"
            raise SetupError(f"{words}: {reason(error)}") from error
        save(network.state_dict(), path)


def _timm() -> Any:
    vision.torchvision()  # timm imports it, and could not where its C++ library does not load
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        if error.name != "timm":
            raise
        raise SetupError("`model`: the networks of timm need the package timm: pip install 'hpo[timm]'") from error


@torch.no_grad()
def _arranged(network: nn.Module, image: Tensor, name: str) -> tuple[dict[str, nn.Module], Tensor]:
    """The network as stages, and its features of an image (1, channels, height, width)."""
    network.eval()
    try:
        features: Tensor = network(image)
    except (RuntimeError, AssertionError) as error:
        sides = list(image.shape[2:])
        words = f"`image_size`: timm:{name} cannot take images of {sides}: {reason(error)}"
        raise SetupError(words, keys=("image_size",)) from error
    if features.ndim != 2:
        raise SetupError(f"`model`: timm:{name} gives no vector for an image, but {tuple(features.shape[1:])}")
    stages = _stages(network)
    if not _do_the_same(stages, image, features):
        stages = {"network": network}
    network.train()
    return stages, features


def _do_the_same(stages: dict[str, nn.Module], image: Tensor, features: Tensor) -> bool:
    values = image
    try:
        for stage in stages.values():
            values = stage(values)
    except Exception:  # whatever modules raise that were not made to follow each other
        return False
    return torch.equal(values, features)


def _stages(network: nn.Module) -> dict[str, nn.Module]:
    """The children of a network in order, as stages; whether that is what it computes is another question."""
    marked = {info["module"] for info in getattr(network, "feature_info", None) or ()}
    opened = {name.partition(".")[0] for name in marked if "." in name}
    stages: dict[str, nn.Module] = {}
    pending: list[nn.Module] = []
    for name, module in _in_a_row(network, opened):
        is_group = (name in marked or "." in name) and _has_layers(module)
        if is_group and not stages and pending:
            stages["stem"], pending = nn.Sequential(*pending), []
        pending.append(module)
        if is_group:
            stages[name.replace(".", "_")] = pending[0] if len(pending) == 1 else nn.Sequential(*pending)
            pending = []
    if not stages:
        return {"network": network}
    return stages | ({"last": nn.Sequential(*pending)} if pending else {})


def _in_a_row(network: nn.Module, opened: set[str]) -> Iterator[tuple[str, nn.Module]]:
    for name, module in network.named_children():
        if name in opened and isinstance(module, nn.Sequential):
            yield from ((f"{name}.{part}", child) for part, child in module.named_children())
        else:
            yield name, module


def _has_layers(module: nn.Module) -> bool:
    return any(True for child in module.children() for _ in child.parameters())

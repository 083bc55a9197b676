"""What the models of torchvision share: the network, its weights, their download."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainables import vision
from trainables.errors import SetupError, reason
from trainables.models import _weights


def network(name: str, shape: tuple[int, int, int], weights_path: str, *, head: str, least: int) -> Any:
    """A network of torchvision by its name there, for images of `shape` (channels, height, width).

    It has random weights, initialised by torchvision, where `weights_path` is "none", else those of the file, which
    are in torchvision's naming. Keys that begin with `head` belong to the last layer: it is not loaded,
    and is there to be replaced. A SetupError where the images have not 3 channels or fewer than `least`
    pixels a side, and where the file does not fit.
    """
    channels, *sides = shape
    if channels != 3:
        raise SetupError(f"{name} needs images of 3 channels, but has {channels}")
    if min(sides) < least:
        words = f"{name} needs images of at least {least} pixels a side (`image_size`), but has {sides}"
        raise SetupError(words, keys=("image_size",))
    if weights_path == "none":
        return vision.models().get_model(name, num_classes=1)
    built = deepcopy(_empty(name))
    _weights.load_into(built, weights_path, head=head, model=name)
    return built


@lru_cache(maxsize=8)
def _empty(name: str) -> Any:
    """The network on the meta device, without numbers: no time for random ones that a file's replace."""
    with torch.device("meta"):
        return vision.models().get_model(name)


def stages(layers: nn.Sequential, names: Mapping[str, tuple[int, int]]) -> dict[str, nn.Module]:
    """Cut layers in a row into named stages, from a first layer to the one before a last."""
    return {name: layers[first:last] for name, (first, last) in names.items()}


def resnet(name: str, shape: tuple[int, int, int], weights_path: str) -> tuple[dict[str, nn.Module], int]:
    """The stages of a residual network, and how many features they give."""
    built = network(name, shape, weights_path, head="fc.", least=1)
    stem = nn.Sequential(built.conv1, built.bn1, built.relu, built.maxpool)
    layers = {f"layer{i}": getattr(built, f"layer{i}") for i in range(1, 5)}
    pool = nn.Sequential(built.avgpool, nn.Flatten())
    return {"stem": stem, **layers, "pool": pool}, built.fc.in_features


def fetch(name: str, path: Path) -> None:
    """Download a network's ImageNet weights and save the state dict at `path`.

    They are torchvision's first, IMAGENET1K_V1: those of the papers' recipes. torchvision keeps its
    download in torch's own cache. A SetupError where the download fails; an OSError where the disk does.
    """
    chosen = vision.models().get_model_weights(name).IMAGENET1K_V1
    try:
        state = chosen.get_state_dict(progress=True, check_hash=True, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError) as error:
        raise SetupError(f"cannot download {chosen.url}, save that file at {path} by hand: {reason(error)}") from error
    _weights.save(state, path)

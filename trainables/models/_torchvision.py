"""Shared code of the torchvision models: building a network, loading its weights, and downloading them."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainables import vision
from trainables.errors import DownloadError, SetupError, reason
from trainables.models import _weights
from trainables.models._plain import PlainNetwork


def network(name: str, shape: tuple[int, int, int], weights_path: str, *, head: str, min_side: int) -> Any:
    """Build the torchvision network `name` for images of `shape` (channels, height, width).

    If `weights_path` is "none", torchvision initialises the weights at random. Otherwise they are loaded from this
    file, which must use torchvision's keys. Keys that begin with `head` belong to the last layer. It is not loaded,
    because the caller replaces it.

    Raises SetupError if the images do not have 3 channels, if a side has fewer than `min_side` pixels, or if the file
    does not fit.
    """
    channels, *sides = shape
    if channels != 3:
        raise SetupError(f"{name} needs images of 3 channels, but has {channels}")
    if min(sides) < min_side:
        message = f"{name} needs images of at least {min_side} pixels a side (`image_size`), but has {sides}"
        raise SetupError(message, keys=("image_size",))
    if weights_path == "none":
        return vision.models().get_model(name, num_classes=1)
    built = deepcopy(_empty(name))
    _weights.load_into(built, weights_path, head=head, model=name)
    return built


@lru_cache(maxsize=8)
def _empty(name: str) -> Any:
    """The network on the meta device. Its weights come from a file, so initialising them would waste time."""
    with torch.device("meta"):
        return vision.models().get_model(name)


def stages(layers: nn.Sequential, ranges: Mapping[str, tuple[int, int]]) -> dict[str, nn.Module]:
    """Cut a sequence of layers into named stages. Each range holds the index of the first layer and the end index."""
    return {name: layers[start:end] for name, (start, end) in ranges.items()}


def resnet(name: str, shape: tuple[int, int, int], weights_path: str) -> tuple[dict[str, nn.Module], int]:
    """Return the stages of a ResNet, and the number of features that they give."""
    built = network(name, shape, weights_path, head="fc.", min_side=1)
    stem = nn.Sequential(built.conv1, built.bn1, built.relu, built.maxpool)
    layers = {f"layer{i}": getattr(built, f"layer{i}") for i in range(1, 5)}
    pool = nn.Sequential(built.avgpool, nn.Flatten())
    return {"stem": stem, **layers, "pool": pool}, built.fc.in_features


def plain_network(name: str, n_classes: int, names: Mapping[str, str]) -> PlainNetwork:
    """Return the network `name` as torchvision builds it. `names` are described in `PlainNetwork`."""
    code = f"from torchvision.models import get_model\n\nmodel = get_model({name!r}, num_classes={n_classes})\n"
    return PlainNetwork(code, names, "torchvision")


def plain_resnet(name: str, n_classes: int) -> PlainNetwork:
    """Return a ResNet as torchvision builds it. Its stages are those of `resnet`."""
    layers = {f"stages.layer{i}.": f"layer{i}." for i in range(1, 5)}
    names = {"stages.stem.0.": "conv1.", "stages.stem.1.": "bn1.", **layers, "head.": "fc."}
    return plain_network(name, n_classes, names)


def fetch(name: str, path: Path) -> None:
    """Download the ImageNet weights of a network and save the state dict at `path`.

    These are torchvision's first weights, IMAGENET1K_V1, which were trained by the recipes of the papers. torchvision
    also keeps the downloaded file in torch's cache. Raises DownloadError if the download fails, and OSError if the file
    cannot be written.
    """
    weights = vision.models().get_model_weights(name).IMAGENET1K_V1
    try:
        state = weights.get_state_dict(progress=True, check_hash=True, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError) as error:
        raise DownloadError(
            f"cannot download {weights.url}, save that file at {path} by hand: {reason(error)}"
        ) from error
    _weights.save(state, path)

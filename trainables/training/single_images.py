"""A check for batches of a single image, with which BatchNorm may be unable to train."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor, nn

from trainables.data.dataset import Part
from trainables.errors import SetupError
from trainables.trainable import HEAD, TransferModel

KEYS = ("batch_size", "image_size", "model", "regime")
"""The hyperparameters that decide whether BatchNorm can train."""


def check(model: TransferModel, part: Part, batch_size: int) -> None:
    """Raise a SetupError if a BatchNorm that trains would get a single value for a channel.

    The statistics of one value say nothing, and PyTorch refuses to compute them. It is the only value of a channel in a
    batch of one image whose maps have one pixel, or that is a vector. The model and the images may lie on different
    devices. The modes of the model and torch's random state do not change.
    """
    if batch_size > 1 and len(part) > 1:
        return
    trained = {f"stages.{name}": stage for name, stage in model.stages.items() if name not in model.frozen}
    trained |= {HEAD: model.head} if HEAD not in model.frozen else {}
    layers = {
        f"{prefix}.{name}" if name else prefix: layer
        for prefix, module in trained.items()
        for name, layer in module.named_modules()
        if isinstance(layer, nn.modules.batchnorm._BatchNorm)
    }
    single = _with_single_values(model, part, layers)
    if single:
        problem = (
            f"`batch_size` must be at least 2 for this model, but is {batch_size}"
            if len(part) > 1
            else "the training part has a single image, which is too few for this model"
        )
        raise SetupError(
            f"{problem}: its layer {single[0]} is a BatchNorm, which needs two values for each channel, and gets one "
            f"from an image of {part.shape} (channels, height, width)",
            keys=KEYS,
        )


def _with_single_values(model: TransferModel, part: Part, layers: Mapping[str, nn.Module]) -> list[str]:
    """The names of the layers that get one value for each channel from one image, in the order in which they run."""
    single: list[str] = []

    def hook(name: str) -> torch.utils.hooks.RemovableHandle:
        def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if prod(inputs[0].shape[2:]) == 1:
                single.append(name)

        return layers[name].register_forward_pre_hook(look)

    if not layers:
        return single
    modes = {module: module.training for module in model.modules()}
    hooks = [hook(name) for name in layers]
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            model.eval()
            model(part.batch(slice(1)).to(next(model.parameters()).device))
    finally:
        for module, mode in modes.items():
            module.training = mode
        for handle in hooks:
            handle.remove()
    return single

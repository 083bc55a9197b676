"""Whether a model fits its data set: one image through it, before anything trains."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from trainables.data.dataset import SearchData
from trainables.errors import SetupError, reason
from trainables.trainable import TransferModel


def check(name: str, model: TransferModel, data: SearchData, *, keys: Iterable[str] = ()) -> bool:
    """A SetupError where `model`, called `name`, does not give an image of the training part one number a class.

    In evaluation mode, without gradients; the model's modes and torch's random state stay as they are.
    `keys` name the hyperparameters that the model's form hangs on. False where the image gave the model weights
    that it did not have before.
    """
    before = _weights(model)
    modes = {module: module.training for module in model.modules()}
    image = data.train.batch(slice(1)).to(model.mean.device)
    # Most models draw nothing in evaluation mode, but one's own may.
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        model.eval()
        try:
            shape = tuple(model(image).shape)
        except Exception as error:  # modules that do not take what they are given raise anything
            words = f"the model {name} cannot take images of {data.train.shape} (channels, height, width)"
            raise SetupError(f"{words}: {reason(error)}", keys=keys) from error
    for module, mode in modes.items():
        module.training = mode
    if shape != (1, len(data.classes)):
        given = f"{shape[1]} numbers" if len(shape) == 2 else f"{shape[1:]}"
        words = f"the model {name} gives {given} an image, but the data set has {len(data.classes)} classes"
        raise SetupError(words, keys=keys)
    return _weights(model) == before


def _weights(model: TransferModel) -> dict[str, type]:
    """What weights and buffers there are; those that wait for their form are of a type of their own."""
    return {key: type(value) for key, value in (*model.named_parameters(), *model.named_buffers())}

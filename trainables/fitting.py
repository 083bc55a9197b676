"""Whether a model fits its data set (ground floor of training): one image through it, before anything trains."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch.nn.parameter import is_lazy as _is_lazy

from trainables.faults import SetupError, reason
from trainables.splits import SearchData
from trainables.trainable import TransferModel


def check(name: str, model: TransferModel, data: SearchData, *, keys: Iterable[str] = ()) -> None:
    """A SetupError where `model`, called `name`, does not give an image of the training part one number a class.

    In evaluation mode, without gradients; the model's modes and torch's random state stay as they are.
    `keys` name the hyperparameters that the model's form hangs on.
    """
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


def is_lazy(model: TransferModel) -> bool:
    """Whether some of its weights get their form from the first image that it sees."""
    return any(map(_is_lazy, (*model.parameters(), *model.buffers())))

"""A check that a model fits its data set. It sends one image through the model before the training begins."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from trainables.data.dataset import SearchData
from trainables.errors import SetupError, reason
from trainables.trainable import TransferModel


def check(name: str, model: TransferModel, data: SearchData, *, keys: Iterable[str] = ()) -> bool:
    """Check that `model`, called `name`, gives one number for each class for an image of the training part.

    The image is sent through in evaluation mode and without gradients. The model's modes and torch's random state do
    not change.

    Returns False if the image created weights that the model did not have before (lazy modules), else True. Raises
    SetupError if the model does not fit; `keys` are the hyperparameters that the error names as its cause.
    """
    weights_before = _weight_types(model)
    modes = {module: module.training for module in model.modules()}
    image = data.train.batch(slice(1)).to(model.mean.device)
    # Most models draw no random numbers in evaluation mode, but a user's own model may.
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        model.eval()
        try:
            shape = tuple(model(image).shape)
        except Exception as error:  # modules that do not fit the image raise all kinds of errors
            message = f"the model {name} cannot take images of {data.train.shape} (channels, height, width)"
            raise SetupError(f"{message}: {reason(error)}", keys=keys) from error
    for module, mode in modes.items():
        module.training = mode
    if shape != (1, len(data.classes)):
        output = f"{shape[1]} numbers" if len(shape) == 2 else f"{shape[1:]}"
        message = f"the model {name} gives {output} an image, but the data set has {len(data.classes)} classes"
        raise SetupError(message, keys=keys)
    return _weight_types(model) == weights_before


def _weight_types(model: TransferModel) -> dict[str, type]:
    """The type of each parameter and buffer. Those of lazy modules have a special type until they get their shape."""
    return {key: type(value) for key, value in (*model.named_parameters(), *model.named_buffers())}

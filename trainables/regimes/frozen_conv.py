"""Frozen convolutions: only the fully connected layers of a pretrained model train."""

from __future__ import annotations

from trainables.data.dataset import SearchData
from trainables.hyperparameters import Config
from trainables.trainable import Trainable, TransferModel
from trainables.training import gradient_descent

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = ("trainables.training",)
PRETRAINED = True
"""A space must say which weights the model starts from."""


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """Return a training of the head and of the stages in `model.classifier`. All other stages are frozen.

    If the head is the only fully connected layer of the model, this is a linear probe. Raises ValueError for a wrong
    value in `config`; the message names the key.
    """
    model.freeze(name for name in model.stages if name not in model.classifier)
    return gradient_descent.build(config, model, data, device)

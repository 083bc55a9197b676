"""Linear probing: only the new last layer trains, on features that stay as they are."""

from __future__ import annotations

from trainables.data.dataset import SearchData
from trainables.hyperparameters import Config
from trainables.trainable import Trainable, TransferModel
from trainables.training import gradient_descent

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = ("trainables.training",)
TRAINS = "head"
PRETRAINED = True
"""A space must say which weights it begins with."""


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """A training of the head of `model` alone; a ValueError names a wrong value and its key."""
    model.freeze(model.stages)
    return gradient_descent.build(config, model, data, device)

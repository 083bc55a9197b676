"""Linear probing (ground floor of training): only the new last layer trains, on features that stay as they are."""

from __future__ import annotations

from trainables import training
from trainables.hyperparameters import Config
from trainables.splits import SearchData
from trainables.trainable import Trainable, TransferModel

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = ("trainables.training",)
TRAINS = "head"
PRETRAINED = True
"""A space must say which weights it begins with."""


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """A training of the head of `model` alone; a ValueError names a wrong value and its key."""
    model.freeze(model.stages)
    return training.build(config, model, data, device)

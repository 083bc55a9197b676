"""Full fine-tuning: every weight trains, from pretrained ones, all at one learning rate."""

from __future__ import annotations

from trainables.data.dataset import SearchData
from trainables.hyperparameters import Config
from trainables.trainable import Trainable, TransferModel
from trainables.training import gradient_descent

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = ("trainables.training",)
TRAINS = "all"
PRETRAINED = True
"""A space must say which weights it begins with."""


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """A training of all of `model`, from the weights it comes with; a ValueError names a wrong value and its key."""
    model.freeze(())
    return gradient_descent.build(config, model, data, device)

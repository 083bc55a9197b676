"""Training from scratch: every weight of the model trains, all at one learning rate."""

from __future__ import annotations

from trainables.data.dataset import SearchData
from trainables.hyperparameters import Config
from trainables.trainable import Trainable, TransferModel
from trainables.training import gradient_descent

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = ("trainables.training",)
TRAINS = "all"
PRETRAINED = False
"""The model comes with random weights, whatever weights the task names for other regimes."""


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """A training of all of `model` on `device` (cpu, cuda, cuda:1, ...); a ValueError names a wrong value and its key.

    Seed torch before the model is built: its weights, the order of the samples and dropout all
    follow from that.
    """
    model.freeze(())
    return gradient_descent.build(config, model, data, device)

"""Training from scratch: all weights of a model train from random values."""

from __future__ import annotations

from trainables.data.dataset import SearchData
from trainables.hyperparameters import Config
from trainables.trainable import Trainable, TransferModel
from trainables.training import gradient_descent

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = ("trainables.training",)
TRAINS = "all"
DATA_PARALLEL = True
"""Several devices can train one trial together."""
PRETRAINED = False
"""The model starts from random weights, even if the task names pretrained weights for other regimes."""


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """Return a training of the whole model on `device` (cpu, cuda, cuda:1, ...).

    Seed torch before the model is built: the seed determines the weights, the order of the samples and dropout. Raises
    ValueError for a wrong value in `config`; the message names the key.
    """
    model.freeze(())
    return gradient_descent.build(config, model, data, device)

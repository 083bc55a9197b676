"""Full fine-tuning: all weights of a pretrained model train."""

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
PRETRAINED = True
"""A space must say which weights the model starts from."""


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """Return a training of the whole model from its pretrained weights.

    Raises ValueError for a wrong value in `config`; the message names the key.
    """
    model.freeze(())
    return gradient_descent.build(config, model, data, device)

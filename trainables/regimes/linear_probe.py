"""Linear probing: only the head trains, on the features of a frozen pretrained model."""

from __future__ import annotations

from trainables.data.dataset import SearchData
from trainables.hyperparameters import Config
from trainables.trainable import Trainable, TransferModel
from trainables.training import gradient_descent

HYPERPARAMETERS: dict[str, str | list[str]] = {}
IGNORES = {
    "unfreeze_every": "only the head trains",
    "layer_decay": "only the head trains, which is the last layer",
    "drop_path": "the frozen stages drop nothing",
}
READS_ALSO = ("trainables.training",)
TRAINS = "head"
PRETRAINED = True
"""A space must say which weights the model starts from."""


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """Return a training of the head only.

    Raises ValueError for a wrong value in `config`; the message names the key.
    """
    model.freeze(model.stages)
    return gradient_descent.build(config, model, data, device)

"""Frozen fully connected layers: only the stages before them train, and the head if asked for."""

from __future__ import annotations

from trainables.data.dataset import SearchData
from trainables.errors import SetupError
from trainables.hyperparameters import Config, read_bool
from trainables.trainable import HEAD, Trainable, TransferModel
from trainables.training import gradient_descent

HYPERPARAMETERS = {
    "train_head": [True, False],
}
MEANINGS = {"train_head": "whether the last layer trains with the convolutions"}
READS_ALSO = ("trainables.training",)
PRETRAINED = True
"""A space must say which weights the model starts from."""


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """Return a training of the stages before `model.classifier`, and of the head if `train_head` is true (the default).

    If `train_head` is false, the head keeps its random weights. Raises ValueError for a wrong value in `config`; the
    message names the key. Raises SetupError if nothing or everything would be frozen.
    """
    train_head = read_bool(config, "train_head", True)
    if train_head and not model.classifier:
        raise SetupError(
            "frozen_fc with `train_head` freezes the fully connected layers before the head, and this model has none: "
            "name the regime fine_tune, or set `train_head` to false",
            keys=("train_head",),
        )
    model.freeze((*model.classifier, *(() if train_head else (HEAD,))))
    return gradient_descent.build(config, model, data, device)

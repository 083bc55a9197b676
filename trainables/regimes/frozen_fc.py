"""Frozen fully connected layers: the features before them train, the head perhaps."""

from __future__ import annotations

from trainables.data.dataset import SearchData
from trainables.errors import SetupError
from trainables.hyperparameters import Config, flag
from trainables.trainable import HEAD, Trainable, TransferModel
from trainables.training import gradient_descent

HYPERPARAMETERS = {
    "train_head": [True, False],
}
READS_ALSO = ("trainables.training",)
PRETRAINED = True
"""A space must say which weights it begins with."""


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """A training of the stages before the classifier, and of the new head if `train_head` (default true).

    Without it, the head stays as random as it began. A ValueError names a wrong value and its key;
    a SetupError says that nothing would be frozen, or all.
    """
    train_head = flag(config, "train_head", True)
    if train_head and not model.classifier:
        raise SetupError(
            "frozen_fc with `train_head` freezes the fully connected layers before the head, and this model has none: "
            "name the regime fine_tune, or set `train_head` to false",
            keys=("train_head",),
        )
    model.freeze((*model.classifier, *(() if train_head else (HEAD,))))
    return gradient_descent.build(config, model, data, device)

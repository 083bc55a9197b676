"""Frozen convolutions: all fully connected layers train, the features before them do not."""

from __future__ import annotations

from trainables.data.dataset import SearchData
from trainables.hyperparameters import Config
from trainables.trainable import Trainable, TransferModel
from trainables.training import gradient_descent

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = ("trainables.training",)
PRETRAINED = True
"""A space must say which weights it begins with."""


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """A training of the head and of the stages of the classifier; a ValueError names a wrong value and its key.

    Of a model whose head is its one fully connected layer, it is a linear probe.
    """
    model.freeze(name for name in model.stages if name not in model.classifier)
    return gradient_descent.build(config, model, data, device)

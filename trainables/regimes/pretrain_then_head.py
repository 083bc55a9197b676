"""Pretrain, then a second head (ground floor of training): features learned on one data set, a head on another.

The first data set is the task's `pretraining`, else the training part itself: `samples_per_class` images of
each class, mixed as `mixing` and `augmentation` say. Then the features are frozen, and the head of the
model learns the second data set as it is.
"""

from __future__ import annotations

import torch
from torch import nn

from trainables import features, training
from trainables.hyperparameters import Config, optional, whole
from trainables.phases import Phase, Phases
from trainables.splits import Part, Pretraining, SearchData, per_class
from trainables.trainable import Trainable, TransferModel
from trainables.training import Training

HYPERPARAMETERS = {
    "pretrain_epochs": "epochs of the pretraining, a whole number of at least 1; default 10",
    "pretrain_lr": "learning rate of the pretraining, above 0; default 1e-3",
    "samples_per_class": "images of each class to pretrain on, a whole number of at least 1; default all",
    "head_samples": "images of each class to train the head on, a whole number of at least 1; default all",
}
READS_ALSO = ("trainables.training",)


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """The pretraining at `pretrain_lr`, then the head at `lr`; the epochs of both count.

    Validation is on the second data set throughout. A ValueError names a wrong value and its key, or
    the class that has too few images.
    """
    first = data.pretraining or Pretraining(data.train, data.classes)
    pretrained_on = _few(first.train, optional(config, "samples_per_class"), first.classes, "samples_per_class")
    head_data = SearchData(
        _few(data.train, optional(config, "head_samples"), data.classes, "head_samples"), data.validation, data.classes
    )

    def pretrain() -> Training:
        model.freeze(())
        layer = nn.Linear(features.width(model, data.train), len(first.classes))
        other = TransferModel(dict(model.stages.items()), nn.Sequential(nn.Flatten(), layer))
        other.mean, other.std = model.mean, model.std
        objective, varies = training.classification(config, other, len(first.classes))
        method = training.method(config, other, objective, device, lr="pretrain_lr")
        model.to(device)
        both = SearchData(pretrained_on, data.validation, max(first.classes, data.classes, key=len))
        return Training(other, both, method, device, varies=varies, judged=model)

    def head() -> Training:
        model.freeze(model.stages)
        objective, _ = training.classification(config, model, len(data.classes), plain=True)
        return Training(model, head_data, training.method(config, model, objective, device), device)

    return Phases(model, [Phase(pretrain, whole(config, "pretrain_epochs", 10)), Phase(head)])


def _few(part: Part, n: int | None, classes: tuple[str, ...], key: str) -> Part:
    """`n` random images of each class; all where `n` is None. Drawn from torch's global generator."""
    seed = int(torch.randint(2**31, ()))
    return part if n is None else per_class(part, n, seed=seed, classes=classes, key=key)

"""Pretrain, then a second head: features learned on one data set, a head on another.

The first data set is the task's `pretraining`, else the training part itself: `samples_per_class` images of
each class, mixed as `mixing` and `augmentation` say. Then the features are frozen, and the head of the
model learns the second data set as it is.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from trainables.data.dataset import Part, Pretraining, SearchData
from trainables.data.splits import per_class
from trainables.features import feature_cache
from trainables.hyperparameters import Config, optional, whole
from trainables.trainable import Trainable, TransferModel
from trainables.training import classification, gradient_descent
from trainables.training.gradient_descent import Training
from trainables.training.phases import Phase, Phases

HYPERPARAMETERS = {
    "pretrain_epochs": "epochs of the pretraining, a whole number of at least 1; default 10",
    "pretrain_lr": "learning rate of the pretraining, above 0; default 1e-3",
    "samples_per_class": "images of each class to pretrain on, a whole number of at least 1; default all",
    "head_samples": "images of each class to train the head on, a whole number of at least 1; default all",
    "samples_seed": "says which images are drawn, those of a lower number among those of a higher; default 0",
}
READS_ALSO = ("trainables.training",)
PRETRAINING = True
"""It trains first on the data set that the task names as `pretraining`."""


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """The pretraining at `pretrain_lr`, then the head at `lr`; the epochs of both count.

    Validation is on the second data set throughout. A ValueError names a wrong value and its key, or
    the class that has too few images.
    """
    first = data.pretraining or Pretraining(data.train, data.classes)
    pretrained_on = _few(config, "samples_per_class", first.train, first.classes)
    head_data = replace(data, train=_few(config, "head_samples", data.train, data.classes))

    def pretrain() -> Training:
        model.freeze(())
        layer = nn.Linear(feature_cache.width(model, data.train), len(first.classes))
        other = TransferModel(dict(model.stages.items()), nn.Sequential(nn.Flatten(), layer))
        other.mean, other.std = model.mean, model.std
        objective, varies = classification.build(config, other, len(first.classes))
        method = gradient_descent.method(config, other, objective, device, lr="pretrain_lr")
        model.to(device)
        both = SearchData(pretrained_on, data.validation, max(first.classes, data.classes, key=len))
        return Training(other, both, method, device, varies=varies, judged=model)

    def head() -> Training:
        model.freeze(model.stages)
        objective, _ = classification.build(config, model, len(data.classes), plain=True)
        return Training(model, head_data, gradient_descent.method(config, model, objective, device), device)

    return Phases(model, [Phase(pretrain, whole(config, "pretrain_epochs", 10)), Phase(head)])


def _few(config: Config, key: str, part: Part, classes: tuple[str, ...]) -> Part:
    """As many random images of each class as `key` says, the same ones in every trial; all where it says nothing."""
    n, seed = optional(config, key), whole(config, "samples_seed", 0, least=0)
    return part if n is None else per_class(part, n, seed=seed, classes=classes, key=key)

"""Pretraining, then a new head: the features are learned on one data set, the head on another.

The first data set is the task's `pretraining`, or the training part if the task names none. The model trains on
`samples_per_class` images of each of its classes, with the given `augmentation` and `mixing`. Then the features are
frozen, and the head trains on the second data set, without augmentation or mixing.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from trainables.data.dataset import Part, Pretraining, SearchData
from trainables.data.splits import sample_per_class
from trainables.features import feature_cache
from trainables.hyperparameters import Config, read_int, read_optional_int
from trainables.trainable import Trainable, TransferModel
from trainables.training import classification, gradient_descent
from trainables.training.gradient_descent import Training
from trainables.training.imbalance import samplers
from trainables.training.phases import Phase, Phases

HYPERPARAMETERS = {
    "pretrain_epochs": "epochs of the pretraining, a whole number of at least 1; default 10",
    "pretrain_lr": "learning rate of the pretraining, above 0; default 1e-3",
    "samples_per_class": "images of each class to pretrain on, a whole number of at least 1; default all",
    "head_samples": "images of each class to train the head on, a whole number of at least 1; default all",
    "samples_seed": "seed of the draw of these images; fewer images are a part of more images; default 0",
}
RANGES = {
    "pretrain_epochs": "int >= 1",
    "pretrain_lr": "float > 0",
    "samples_per_class": "int >= 1",
    "head_samples": "int >= 1",
    "samples_seed": "int >= 0",
}
WHEN = {"samples_seed": [{"samples_per_class": "given"}, {"head_samples": "given"}]}
FIRST_PHASE = ("pretrain_epochs",)
READS_ALSO = ("trainables.training",)
PRETRAINING = True
"""The regime first trains on the data set that the task names as `pretraining`."""


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """Return a training in two phases: the pretraining at `pretrain_lr`, then the head at `lr`.

    The epochs of both phases count. Both phases are validated on the second data set. Raises ValueError for a wrong
    value in `config`, or if a class has too few images; the message names the key or the class.
    """
    first = data.pretraining or Pretraining(data.train, data.classes)
    pretraining_part = _subset(config, "samples_per_class", first.train, first.classes)
    head_data = replace(data, train=_subset(config, "head_samples", data.train, data.classes))

    def pretrain() -> Training:
        model.freeze(())
        layer = nn.Linear(feature_cache.width(model, data.train), len(first.classes))
        pretraining_model = _with_head(model, nn.Sequential(nn.Flatten(), layer))
        labels = pretraining_part.labels.to(device)
        objective, changes_images = classification.build(config, pretraining_model, labels, len(first.classes))
        optimization = gradient_descent.build_optimization(
            config, pretraining_model, objective, device, lr="pretrain_lr", sampler=samplers.build(config, labels)
        )
        model.to(device)
        # The two parts may have different classes. SearchData only checks that the labels of both are in range.
        classes = max(first.classes, data.classes, key=len)
        phase_data = SearchData(pretraining_part, data.validation, classes, own_metric=data.own_metric)
        return Training(
            pretraining_model, phase_data, optimization, device, changes_images=changes_images, validated_model=model
        )

    def head() -> Training:
        model.freeze(model.stages)
        labels = head_data.train.labels.to(device)
        objective, _ = classification.build(config, model, labels, len(data.classes), augment=False)
        sampler = samplers.build(config, labels)
        optimization = gradient_descent.build_optimization(config, model, objective, device, sampler=sampler)
        return Training(model, head_data, optimization, device)

    return Phases(model, [Phase(pretrain, read_int(config, "pretrain_epochs", 10)), Phase(head)])


def _with_head(model: TransferModel, head: nn.Module) -> TransferModel:
    """Return a model of the same stages, which are shared, with another head."""
    stages = dict(model.stages.items())
    other = TransferModel(stages, head, layers=model.layers, undecayed=model.undecayed)
    other.mean, other.std = model.mean, model.std
    return other


def _subset(config: Config, key: str, part: Part, classes: tuple[str, ...]) -> Part:
    """Random images of a part, `config[key]` of each class, or the whole part if that is not given.

    The draw depends on `samples_seed` only, so that all trials train on the same images.
    """
    n, seed = read_optional_int(config, key), read_int(config, "samples_seed", 0, least=0)
    return part if n is None else sample_per_class(part, n, seed=seed, classes=classes, key=key)

"""Training from scratch (ground floor of training): every weight of the model trains, all at one learning rate."""

from __future__ import annotations

from trainables import optimizers
from trainables.hyperparameters import Config, whole
from trainables.splits import SearchData
from trainables.trainable import Trainable, TransferModel
from trainables.training import Training

HYPERPARAMETERS = {
    "batch_size": "images a step of the optimizer, a whole number of at least 1; default 64",
}
READS_ALSO = ("trainables.optimizers",)


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """A training of all of `model` on `device` (cpu, cuda, cuda:1, ...); a ValueError names a wrong value and its key.

    Seed torch before the model is built: its weights, the order of the samples and dropout all
    follow from that.
    """
    model.freeze(())
    model.to(device)
    optimizer = optimizers.build(model.parameters(), config)
    schedule = optimizers.schedule(optimizer, config)
    on_device = SearchData(data.train.to(device), data.validation.to(device), data.classes)
    return Training(model, on_device, optimizer, schedule, batch_size=whole(config, "batch_size", 64))

"""Training by gradient descent (ground floor of training): the Trainable that regimes build."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from trainables import engine
from trainables.seeding import random_state, set_random_state
from trainables.splits import Part, SearchData
from trainables.trainable import TransferModel


class Training:
    """Trains what a regime left unfrozen in a model, with the optimizer and schedule it was given.

    The model lies on the device of the data, and the optimizer holds the parameters that train.

    All that is random follows from torch's global generators as they are when the training is built:
    the order of the samples by a generator of its own, dropout and the like by the global ones, which
    are set back at each step to where the last one left them. So what else draws random numbers in
    the process, another training for one, changes nothing here.
    """

    def __init__(
        self, model: TransferModel, data: SearchData, optimizer: Optimizer, schedule: LRScheduler, *, batch_size: int
    ) -> None:
        self._model = model
        self._data = data
        self._optimizer = optimizer
        self._schedule = schedule
        self._batch_size = batch_size
        self._device = data.train.images.device
        self._order = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        self._random = random_state(self._device)
        self._epoch = 0

    def step(self) -> Mapping[str, float]:
        set_random_state(self._random, self._device)
        train_loss, train_accuracy = engine.train_epoch(
            self._model, self._data.train, self._optimizer, batch_size=self._batch_size, generator=self._order
        )
        self._random = random_state(self._device)
        self._schedule.step()
        self._epoch += 1
        val_loss, val_accuracy = engine.validate(self._model, self._data.validation)
        return {
            "val_loss": val_loss,
            "val_accuracy": val_accuracy,
            "train_loss": train_loss,
            "train_accuracy": train_accuracy,
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "weights": self._model.trained_state(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "random": self._random,
            "order": self._order.get_state(),
            "epoch": self._epoch,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._model.load_trained_state(state["weights"])
        # The optimizer would go on in the very tensors it is given.
        self._optimizer.load_state_dict(deepcopy(state["optimizer"]))
        self._schedule.load_state_dict(deepcopy(state["schedule"]))
        self._random = self._random | state["random"]
        self._order.set_state(state["order"])
        self._epoch = state["epoch"]

    def evaluate(self, part: Part) -> Mapping[str, float]:
        loss, accuracy = engine.validate(self._model, part.to(self._device))
        return {"loss": loss, "accuracy": accuracy}

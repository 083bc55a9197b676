"""Training by gradient descent: the Trainable that regimes build."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from trainables.data.dataset import Part, SearchData
from trainables.errors import SetupError
from trainables.features import augmented_views, feature_cache, fingerprint
from trainables.features.augmented_views import AugmentedViews
from trainables.hyperparameters import Config, choice, whole
from trainables.seeding import random_state, set_random_state
from trainables.trainable import TransferModel
from trainables.training import classification, epochs, losses, optimizers
from trainables.training.classification import Classification
from trainables.training.epochs import Forward, Objective, Optimization, Samples

HYPERPARAMETERS = {
    "batch_size": "images a step of the optimizer, a whole number of at least 1; default 64",
    "precision": ["fp32", "bf16", "auto"],
}
READS_ALSO = ("trainables.training.optimizers", "trainables.training.classification")


def build(config: Config, model: TransferModel, data: SearchData, device: str, *, lr: str = "lr") -> Training:
    """The training of all that is not frozen in `model`, as `config` says, on `device` (cpu, cuda, cuda:1, ...).

    Freeze before, and seed torch before the model is built: its weights, the order of the samples and
    dropout all follow from that. `lr` names the key of the learning rate. A ValueError names a wrong
    value and its key.
    """
    kept = augmented_views.build_views(config, data.train.to(device)) if model.n_frozen_first else None
    objective, varies = classification.build(config, model, len(data.classes), plain=kept is not None)
    how = method(config, model, objective, device, lr=lr)
    return Training(model, data, how, device, varies=varies, views=kept)


def method(config: Config, model: TransferModel, objective: Objective, device: str, *, lr: str = "lr") -> Optimization:
    """How to train all that is not frozen in `model`, which is moved to `device`; `lr` names the key of its rate."""
    # Convolutions are faster, or as fast, where a pixel's channels lie together: on CPUs as on GPUs.
    model.to(device=torch.device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = optimizers.build(trained, config, lr=lr)
    schedule = optimizers.schedule(optimizer, config)
    batch_size, clip_norm = whole(config, "batch_size", 64), optimizers.clip(config)
    return Optimization(optimizer, schedule, objective, batch_size, clip_norm, is_bf16(config, device))


def is_bf16(config: Config, device: str) -> bool:
    """Whether `config` asks for bfloat16: auto is float32 on the CPU, and bfloat16 on a GPU that computes in it."""
    precision = choice(config, "precision", "fp32", ("fp32", "bf16", "auto"))
    on_gpu = torch.device(device).type == "cuda"
    return precision == "bf16" or (precision == "auto" and on_gpu and torch.cuda.is_bf16_supported())


class Training:
    """Trains what a regime left unfrozen in a model, by the method it was given.

    Where images are as they are in every epoch, what the first frozen stages make of them is computed
    once (`trainables/features/feature_cache.py`).

    All that is random follows from torch's global generators as they are when the training is built:
    the order of the samples and what is random in the objective by a generator of its own, dropout and
    the like by the global ones, which are set back at each step to where the last one left them. So
    what else draws random numbers in the process, another training for one, changes nothing here.
    """

    def __init__(
        self,
        model: TransferModel,
        data: SearchData,
        method: Optimization,
        device: str,
        *,
        varies: bool = False,
        judged: TransferModel | None = None,
        views: AugmentedViews | None = None,
    ) -> None:
        """`varies`: the objective changes images at random. `judged`: the model to validate, if it is another.

        `views`: what trains in place of the training part's images as they are. A SetupError where there is no
        room for what the frozen stages make of them.
        """
        self.model = judged or model
        self._trained = model
        self._data = data.to(device)
        self._method = method
        self._varies = varies
        self._views = views
        self._order = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        self._random = random_state(device)
        self._device = device
        self._epoch = 0
        # Over all weights of a network it takes longer than an epoch of its head, and frozen ones do not change.
        self._fingerprint, self._fits = cache(fingerprint.of_stages), cache(self._has_room)
        if views is not None and not self._fits(model, views, model.n_frozen_first):
            raise SetupError(
                "`augmented_views`: there is no room for what the frozen stages make of so many: ask for fewer",
                keys=("augmented_views",),
            )

    def step(self) -> Mapping[str, float]:
        first = 0 if self._varies else self._first_stage(self._trained, self._views or self._data.train)
        samples = self._samples(self._trained, self._views or self._data.train, first)
        if self._views is not None:
            samples = Samples(samples.inputs, samples.labels, self._views.draw(self._order))
        set_random_state(self._random, self._device)
        forward = partial(_forward, self._trained, first, self._method.bf16)
        train_loss, train_accuracy = epochs.train_epoch(self._trained, forward, samples, self._method, self._order)
        self._random = random_state(self._device)
        self._epoch += 1
        validation = self.evaluate(self._data.validation)
        return {
            "val_loss": validation["loss"],
            "val_accuracy": validation["accuracy"],
            "train_loss": train_loss,
            "train_accuracy": train_accuracy,
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "weights": self._trained.trained_state(),
            "optimizer": self._method.optimizer.state_dict(),
            "schedule": self._method.schedule.state_dict(),
            "random": self._random,
            "order": self._order.get_state(),
            "epoch": self._epoch,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._trained.load_trained_state(state["weights"])
        # The optimizer would go on in the very tensors it is given.
        self._method.optimizer.load_state_dict(deepcopy(state["optimizer"]))
        self._method.schedule.load_state_dict(deepcopy(state["schedule"]))
        self._random = self._random | state["random"]
        self._order.set_state(state["order"])
        self._epoch = state["epoch"]

    def evaluate(self, part: Part) -> Mapping[str, float]:
        loss, accuracy = epochs.validate(self.model, *self._judged(part))
        return {"loss": loss, "accuracy": accuracy}

    def predict(self, part: Part) -> Tensor:
        return epochs.predict(self.model, *self._judged(part))

    @property
    def method(self) -> Optimization:
        """How it goes about it; live, as are the parameters in its optimizer."""
        return self._method

    @property
    def data(self) -> SearchData:
        """What it trains and validates on, on its device."""
        return self._data

    @property
    def plain_loss(self) -> losses.Loss | None:
        """The loss of a classifier that sees images as they are, and is itself validated; None of another training."""
        objective = self._method.objective
        is_other = self._varies or self._views is not None or self.model is not self._trained
        return None if is_other or not isinstance(objective, Classification) else objective.loss

    def fingerprint(self, stage: int) -> str | None:
        """What enters stage number `stage` depends on, beside the images; None where there is no room to keep it."""
        has_room = self._fits(self.model, self._data.train, stage) and self._fits(
            self.model, self._data.validation, stage
        )
        return self._fingerprint(self.model, stage) if has_room else None

    def entering(self, part: Part, stage: int) -> Samples:
        """What enters stage number `stage`, above 0, of a part; no stage before it may have weights that train."""
        return self._samples(self.model, part, stage)

    def draw_order(self) -> Tensor:
        """The order of the samples in the next epoch, (n,), on the CPU: for who trains it on this one's behalf."""
        return torch.randperm(len(self._data.train), generator=self._order)

    def count_epoch(self) -> None:
        """Take note of an epoch that was trained on this one's behalf: the schedule goes on."""
        self._method.optimizer.zero_grad(set_to_none=True)
        self._method.optimizer.step()  # without gradients it changes nothing; the schedule wants to come after it
        self._method.schedule.step()
        self._epoch += 1

    def _judged(self, part: Part) -> tuple[Forward, Samples]:
        """The model to validate, from the first stage that trains on, and what enters that stage of a part."""
        part = part.to(self._device)
        first = self._first_stage(self.model, part)
        forward = partial(_forward, self.model, first, self._method.bf16)
        return forward, self._samples(self.model, part, first)

    def _has_room(self, model: TransferModel, part: Part, n_stages: int) -> bool:
        return feature_cache.SHARED.fits(model, part, n_stages, self._fingerprint(model, n_stages))

    def _first_stage(self, model: TransferModel, part: Part) -> int:
        """The stage from which on a part goes through the model anew each time: the first one, 0, without room."""
        n_frozen = model.n_frozen_first
        return n_frozen if n_frozen and self._fits(model, part, n_frozen) else 0

    def _samples(self, model: TransferModel, part: Part, first_stage: int) -> Samples:
        """What enters stage number `first_stage` of a part, those before it being frozen."""
        if first_stage == 0:
            return Samples(part.pool, part.labels, part.rows)
        fingerprint = self._fingerprint(model, first_stage)
        values, rows = feature_cache.SHARED.get(model, part, first_stage, fingerprint, bf16=self._method.bf16)
        return Samples(values, part.labels, rows)


def _forward(model: TransferModel, first_stage: int, bf16: bool, inputs: Tensor) -> Tensor:
    """The logits, float32, of what enters stage number `first_stage`: of images where that is 0."""
    # A copy of features, as a stage may work in place on what it is given, and they are kept.
    together = torch.channels_last if inputs.ndim == 4 else torch.preserve_format
    inputs = model.preprocess(inputs) if first_stage == 0 else inputs.clone(memory_format=together)
    with torch.autocast(inputs.device.type, dtype=torch.bfloat16, enabled=bf16):
        logits: Tensor = model.head(model.run_stages(inputs, first_stage, len(model.stages)))
    return logits.float()

"""Training by gradient descent: the Trainable that most regimes return."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor

from trainables.data.dataset import Part, SearchData
from trainables.features import augmented_views
from trainables.features.augmented_views import AugmentedViews
from trainables.hyperparameters import Config
from trainables.seeding import random_state, set_random_state
from trainables.trainable import TransferModel
from trainables.training import classification, data_parallel, epochs, gradual_unfreezing, losses, single_images
from trainables.training.classification import Classification
from trainables.training.epochs import Forward, Optimization, Samples
from trainables.training.forward_pass import from_stage
from trainables.training.imbalance import samplers
from trainables.training.metrics import SampleResults
from trainables.training.optimization import build_optimization, is_bf16, read_batch_size
from trainables.training.predictions import offered
from trainables.training.stage_inputs import StageInputs

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = (
    "trainables.training.optimization",
    "trainables.training.classification",
    "trainables.training.imbalance.samplers",
)

__all__ = ["Training", "build", "build_optimization", "is_bf16", "read_batch_size"]


def build(config: Config, model: TransferModel, data: SearchData, device: str, *, lr: str = "lr") -> Training:
    """Return a training of all parts of `model` that are not frozen, on `device` (cpu, cuda, cuda:1, ...).

    `config` gives the optimizer, the schedule, the loss, the augmentation, the sampler, the batch size and the
    precision. `lr` is the key of the learning rate in `config`.

    Call `model.freeze` before. Seed torch before the model is built: the seed determines the weights, the order of the
    samples and dropout.

    Raises ValueError for a wrong value in `config`; the message names the key. Raises SetupError if there is no room
    for the features of the augmented views.
    """
    views = augmented_views.build_views(config, data.train.to(device), model.mean) if model.n_frozen_first else None
    labels = data.train.labels.to(device)
    objective, changes_images = classification.build(config, model, labels, len(data.classes), augment=views is None)
    sampler = samplers.build(config, labels)
    optimization = build_optimization(config, model, objective, device, lr=lr, sampler=sampler)
    return Training(model, data, optimization, device, changes_images=changes_images, views=views)


class Training:
    """A Trainable that trains the parts of a model that are not frozen.

    If the images are the same in every epoch, the features of the first frozen stages are computed only once and cached
    (`trainables/features/feature_cache.py`).

    Results depend only on the state of torch's global generators at the time when the training is built. The order of
    the samples and the random numbers of the objective come from the training's own generator. Dropout uses the global
    generators: each step first restores the state in which the last step left them. So other code in the process that
    draws random numbers, such as another training, does not change the results.

    In one of several ranks (`trainables/training/data_parallel.py`), `step` trains together with the other ranks.
    """

    def __init__(
        self,
        model: TransferModel,
        data: SearchData,
        optimization: Optimization,
        device: str,
        *,
        changes_images: bool = False,
        validated_model: TransferModel | None = None,
        views: AugmentedViews | None = None,
    ) -> None:
        """Set up the training of `model`.

        `changes_images` says that the objective changes images at random, or runs the stages on images itself, so that
        no features can be cached.
        `validated_model` is the model to validate, if it is not `model`. It has the same stages, and another head. If
        the weights are averaged, a copy with the averaged stages is validated instead.

        `views` are trained on instead of the original images of the training part; each epoch uses a random view of
        each image.

        Raises SetupError if there is no room for the features of the views, or if a BatchNorm cannot train because its
        batches have a single image. Raises WrongValue if the warm-up is as long as the training.
        """
        self.trained_model = model
        """The model whose weights the optimizer changes."""
        self._with_other_head = validated_model
        self.model = self._validated_model(optimization)
        """The model that is validated and predicts: the one that trains, unless its weights are averaged."""
        self._data = data.to(device)
        single_images.check(model, self._data.train, optimization.batch_size)
        self._optimization = optimization
        self._changes_images = changes_images
        self._views = views
        self._generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        self._random_state = random_state(device)
        self._device = device
        self._epoch = 0
        self.validation_logits: Tensor | None = None
        """Those of the last validation, float32 (n_images, n_classes), unless they are too many; see `Trainable`."""
        self.validation_results: SampleResults | None = None
        """The loss and the predicted class of each image in the last validation, while its logits are offered."""
        self._over_ranks = data_parallel.ForwardOverRanks()
        self._inputs = StageInputs(bf16=optimization.bf16)
        self._inputs.check_room(model, views)
        self.check_warmup()
        self._unfreeze(0)

    def release_logits(self) -> None:
        """Free the memory of `validation_logits` and `validation_results`."""
        self.validation_logits = self.validation_results = None

    def step(self) -> Mapping[str, float]:
        self.release_logits()
        self._unfreeze(self._epoch)
        part = self._views or self._data.train
        first_stage = 0 if self._changes_images else self._inputs.first_stage(self.trained_model, part)
        samples = self._inputs.samples(self.trained_model, part, first_stage)
        if self._views is not None:
            samples = Samples(samples.inputs, samples.labels, self._views.draw(self._generator))
        set_random_state(self._random_state, self._device)
        forward = partial(from_stage, self.trained_model, first_stage, self._optimization.bf16)
        with self._over_ranks.training(self.trained_model, forward, self._device) as train_forward:
            train_loss, train_accuracy = epochs.train_epoch(
                self.trained_model, train_forward, samples, self._optimization, self._generator
            )
        self._random_state = random_state(self._device)
        self._epoch += 1
        logits, labels = self._logits_and_labels(self._data.validation, self._over_ranks.evaluation)
        self.validation_logits = offered(logits)
        validation, results = epochs.compute_results(logits, labels, own_metric=self._data.own_metric)
        self.validation_results = None if self.validation_logits is None else results
        return {
            **{f"val_{name}": value for name, value in validation.items()},
            "train_loss": train_loss,
            "train_accuracy": train_accuracy,
        }

    def state_dict(self) -> dict[str, Any]:
        average, unfreezing = self._optimization.average, self._optimization.unfreezing
        return {
            "weights": self.trained_model.trained_state(),
            **({} if average is None else {"average": average.model.trained_state()}),
            "optimizer": self._optimization.optimizer.state_dict(),
            "schedule": self._optimization.schedule.state_dict(),
            "random": self._random_state,
            "order": self._generator.get_state(),
            "epoch": self._epoch,
            **({} if unfreezing is None else {"unfrozen": unfreezing.is_finished}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        frozen = self.trained_model.frozen
        self._epoch = state["epoch"]
        if (unfreezing := self._optimization.unfreezing) is not None:
            unfreezing.is_finished = state.get("unfrozen", False)  # a state of an earlier version lacks it
        self._unfreeze(max(0, self._epoch - 1))  # the state has the weights that trained in its last epoch
        if trained := sorted(self.trained_model.frozen - frozen):
            raise ValueError(f"the state is of an epoch before {trained[0]!r} trained: load it into a new training")
        self.trained_model.load_trained_state(state["weights"])
        if self._optimization.average is not None:
            self._optimization.average.model.load_trained_state(state["average"])
        # Without the copy, the optimizer would modify the tensors of `state`.
        self._optimization.optimizer.load_state_dict(deepcopy(state["optimizer"]))
        self._optimization.schedule.load_state_dict(deepcopy(state["schedule"]))
        self._random_state = self._random_state | state["random"]
        self._generator.set_state(state["order"])

    def begin_next_phase(self) -> bool:
        """Unfreeze now all that gradual unfreezing leaves for later epochs. Returns False if there is nothing."""
        unfreezing = self._optimization.unfreezing
        if unfreezing is None or not unfreezing.finish():
            return False
        self._unfreeze(self._epoch)
        return True

    def check_warmup(self) -> None:
        """Raise a WrongValue if the schedule ends with the training, and its warm-up is as long as that."""
        n_steps = epochs.n_batches(len(self._data.train), self._optimization.batch_size)
        self._optimization.schedule.check_warmup(n_steps)

    def adopt_average(self) -> None:
        """Replace the weights that trained by their average, if there is one. Do not train on afterwards."""
        if self._optimization.average is not None:
            self._optimization.average.adopt()

    def evaluate(self, part: Part) -> Mapping[str, float]:
        logits, labels = self._logits_and_labels(part)
        return epochs.compute_metrics(logits, labels, own_metric=self._data.own_metric)

    def predict(self, part: Part) -> Tensor:
        """Return the class probabilities of each image of `part`, (n, n_classes), on the CPU."""
        return self._logits_and_labels(part)[0].softmax(dim=1).cpu()

    def evaluate_and_predict(self, part: Part) -> tuple[Mapping[str, float], Tensor]:
        """Return what `evaluate` and `predict` return for `part`, from the same logits."""
        logits, labels = self._logits_and_labels(part)
        metrics = epochs.compute_metrics(logits, labels, own_metric=self._data.own_metric)
        return metrics, logits.softmax(dim=1).cpu()

    @property
    def optimization(self) -> Optimization:
        """The optimizer, schedule, objective and settings. They are those of the training, not copies."""
        return self._optimization

    @property
    def data(self) -> SearchData:
        """The training and the validation part, on the device."""
        return self._data

    @property
    def classifier_loss(self) -> losses.Loss | None:
        """The loss, if the objective is a classifier's, on unchanged images, for the model that is also validated.

        None for any other training. The validated model may be an average.
        """
        objective = self._optimization.objective
        is_other = self._changes_images or self._views is not None or self._with_other_head is not None
        return None if is_other or not isinstance(objective, Classification) else objective.loss

    def fingerprint(self, stage: int) -> str | None:
        """Return a hash of all that the inputs of stage number `stage` depend on, except the images.

        Returns None if there is no room to cache these inputs for both parts.
        """
        parts = self._data.train, self._data.validation
        has_room = all(self._inputs.fits(self.trained_model, part, stage) for part in parts)
        return self._inputs.fingerprint(self.trained_model, stage) if has_room else None

    def stage_inputs(self, part: Part, stage: int) -> Samples:
        """Return the inputs of stage number `stage`, which is above 0, for a part.

        No stage before it may have weights that train.
        """
        return self._inputs.samples(self.trained_model, part, stage)

    def draw_order(self) -> Tensor:
        """Return the indices of the samples of the next epoch in their order, int64 (n,), on the CPU.

        For code that trains the epoch itself, instead of calling `step`.
        """
        return epochs.draw_order(len(self._data.train), self._optimization.sampler, self._generator)

    def count_epoch(self) -> None:
        """Count an epoch that other code trained."""
        self._optimization.optimizer.zero_grad(set_to_none=True)
        self._optimization.schedule.end_epoch()
        self._epoch += 1

    def _logits_and_labels(
        self, part: Part, divided: Callable[[Forward], Forward] = lambda forward: forward
    ) -> tuple[Tensor, Tensor]:
        """Return the logits of the validated model for `part`, float32 (n, n_classes), and the labels, (n,).

        `divided` changes the forward function, such as to divide each batch over the ranks.
        """
        part = part.to(self._device)
        first_stage = self._inputs.first_stage(self.trained_model, part)  # an average shares the frozen stages
        forward = divided(partial(from_stage, self.model, first_stage, self._optimization.bf16))
        samples = self._inputs.samples(self.trained_model, part, first_stage)
        batch_size = self._optimization.validation_batch_size
        return epochs.compute_logits(self.model, forward, samples, batch_size=batch_size), samples.labels

    def _validated_model(self, optimization: Optimization) -> TransferModel:
        average, other = optimization.average, self._with_other_head
        if average is None:
            return other or self.trained_model
        return average.model if other is None else average.in_model(other)

    def _unfreeze(self, epoch: int) -> None:
        """Freeze what does not train in `epoch`, which counts from 0, and unfreeze the rest."""
        optimization = self._optimization
        if optimization.unfreezing is None or not optimization.unfreezing.apply(epoch):
            return
        gradual_unfreezing.restart_step_counts(optimization.optimizer)
        if optimization.average is not None:
            optimization.average.follow_freezing()
            self.model = self._validated_model(optimization)
        self._over_ranks = data_parallel.ForwardOverRanks()

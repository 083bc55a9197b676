"""The training objective of a classifier: the loss of a batch, with optional augmentation and mixing of its images."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from trainables.augmentation import mixing, recipes
from trainables.features import augmented_views
from trainables.hyperparameters import Config
from trainables.trainable import TransferModel
from trainables.training import epochs, losses
from trainables.training.epochs import BatchResult, Forward, Objective

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = (
    "trainables.training.losses",
    "trainables.augmentation.recipes",
    "trainables.augmentation.mixing",
    "trainables.features.augmented_views",
)


def build(
    config: Config, model: TransferModel, labels: Tensor, n_classes: int, *, augment: bool = True
) -> tuple[Objective, bool]:
    """Return the objective that `config` describes, and whether it changes images at random.

    `labels` are those of the part that is trained on, int64 (n,), on the device of the training. Class weights are
    computed from them. If `augment` is false, images are neither augmented nor mixed, whatever `config` says. Raises
    ValueError for a wrong value in `config`; the message names the key.
    """
    augmented_views.n_views(config)  # raises an error for a wrong value, also where the views are not used
    recipe, mix = (recipes.recipe(config, model.mean), mixing.mixing(config)) if augment else (None, None)
    objective = Classification(losses.build(config, model, labels, n_classes), n_classes, recipe, mix)
    return objective, recipe is not None or mix is not None


class Classification:
    """The objective of a classifier: first augmentation, then mixing, then the loss."""

    def __init__(
        self, loss: losses.Loss, n_classes: int, recipe: recipes.Recipe | None, mix: mixing.Mixing | None
    ) -> None:
        """Without `recipe`, images are not augmented. Without `mix`, they are not mixed."""
        self.loss = loss
        self._n_classes = n_classes
        self._recipe = recipe
        self._mix = mix

    def __call__(self, forward: Forward, inputs: Tensor, labels: Tensor, generator: torch.Generator) -> BatchResult:
        inputs, targets = self._change_images(inputs, labels, generator)
        logits = forward(inputs)
        loss, penalty = self.loss.mean(logits, targets), self.loss.penalty()
        total_loss = loss if penalty is None else loss + penalty
        return BatchResult(total_loss, loss.detach(), self._n_correct(logits, targets), len(labels))

    def in_parts(
        self, forward: Forward, inputs: Tensor, labels: Tensor, generator: torch.Generator, n_parts: int
    ) -> Iterator[BatchResult]:
        """Yield the results of a batch in parts of almost equal size. See `epochs.InParts`.

        The images of the whole batch are changed at once, so the random numbers are those of a batch in one part.
        """
        inputs, targets = self._change_images(inputs, labels, generator)
        divisor, penalty = self.loss.divisor(targets), self.loss.penalty()
        for inputs_part, part in zip(inputs.tensor_split(n_parts), targets.tensor_split(n_parts), strict=True):
            logits = forward(inputs_part)
            loss = self.loss.mean(logits, part) * (self.loss.divisor(part) / divisor)
            total_loss, penalty = loss if penalty is None else loss + penalty, None  # the penalty counts once a batch
            mean_loss = loss.detach() * (len(labels) / len(part))
            yield BatchResult(total_loss, mean_loss, self._n_correct(logits, part), len(part))

    def _change_images(self, inputs: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Augment and mix the images of a batch. Returns them and their targets: labels, or class probabilities."""
        targets = labels
        if (self._recipe or self._mix) and inputs.dtype == torch.uint8:
            inputs = inputs.float().div_(255)
        if self._recipe is not None:
            inputs = self._recipe(inputs, generator)
        if self._mix is not None:
            inputs, targets = self._mix(inputs, functional.one_hot(labels, self._n_classes).float(), generator)
        return inputs, targets

    def _n_correct(self, logits: Tensor, targets: Tensor) -> Tensor:
        # The correct answer for a mixed image is the class with the larger weight.
        correct = targets if self._mix is None else targets.argmax(dim=1)
        return epochs.n_correct(logits.detach(), correct)

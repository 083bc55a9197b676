"""The objective of a classifier: its loss, on images as they are, or changed and mixed."""

from __future__ import annotations

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


def build(config: Config, model: TransferModel, n_classes: int, *, plain: bool = False) -> tuple[Objective, bool]:
    """The objective of a classifier as `config` says, and whether it changes images at random.

    `plain`: on images as they are, whatever `config` says of augmentation and mixing.
    """
    augmented_views.n_views(config)  # wrong values are refused wherever it stands
    recipe, mix = (None, None) if plain else (recipes.recipe(config), mixing.mixing(config))
    objective = Classification(losses.build(config, model), n_classes, recipe, mix)
    return objective, recipe is not None or mix is not None


class Classification:
    """The objective of a classifier: its loss on images that may be changed at random and mixed before."""

    def __init__(
        self, loss: losses.Loss, n_classes: int, recipe: recipes.Recipe | None, mix: mixing.Mixing | None
    ) -> None:
        self.loss = loss
        self._n_classes = n_classes
        self._recipe = recipe
        self._mix = mix

    def __call__(self, forward: Forward, inputs: Tensor, labels: Tensor, generator: torch.Generator) -> BatchResult:
        targets = labels
        if (self._recipe or self._mix) and inputs.dtype == torch.uint8:
            inputs = inputs.float().div_(255)
        if self._recipe is not None:
            inputs = self._recipe(inputs, generator)
        if self._mix is not None:
            inputs, targets = self._mix(inputs, functional.one_hot(labels, self._n_classes).float(), generator)
        logits = forward(inputs)
        loss, penalty = self.loss.of(logits, targets), self.loss.penalty()
        minimised = loss if penalty is None else loss + penalty
        answers = targets if self._mix is None else targets.argmax(dim=1)  # of a mixed image, the larger share
        return BatchResult(minimised, loss.detach(), epochs.n_correct(logits.detach(), answers), len(labels))

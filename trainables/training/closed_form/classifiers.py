"""The classifiers of a closed-form training: a path of penalties, iterations, or fewer and fewer neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from trainables.trainable import TransferModel
from trainables.training.closed_form.heads import vector_layers
from trainables.training.closed_form.inputs import Inputs, TrainingSet
from trainables.training.closed_form.linear import LinearFit
from trainables.training.closed_form.logistic import Logistic
from trainables.training.closed_form.neighbours import NearestNeighbours
from trainables.training.closed_form.training import set_linear


class Path:
    """A linear classifier for each epoch, which depends on the number of the epoch alone."""

    def __init__(self, layer: nn.Linear, training: TrainingSet, fit: Callable[[int], LinearFit]) -> None:
        """`layer` gets the classifier that `fit` returns for an epoch, whose scores are logits."""
        self._layer = layer
        self._training = training
        self._fit = fit

    def fit(self, epoch: int) -> None:
        """Set the layer for an epoch."""
        found = self._fit(epoch).of_features(self._training)
        set_linear(self._layer, found.weight, found.bias)

    def training_logits(self, features: Inputs) -> Tensor | None:
        """Return None: the logits of the head are those of the training images."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return the weights of the layer."""
        return {"layer": {name: value.detach() for name, value in self._layer.state_dict().items()}}

    def load_state_dict(self, state: dict[str, Any], epoch: int) -> None:
        """Set the weights of the layer."""
        self._layer.load_state_dict(state["layer"])


class Iterations(Path):
    """A logistic regression that goes on from epoch to epoch."""

    def __init__(self, layer: nn.Linear, training: TrainingSet, regression: Logistic) -> None:
        super().__init__(layer, training, lambda epoch: regression.fit().logits(training))
        self._regression = regression

    def state_dict(self) -> dict[str, Any]:
        """Return the weights of the layer, and the state of the regression."""
        return {**super().state_dict(), "regression": self._regression.state_dict()}

    def load_state_dict(self, state: dict[str, Any], epoch: int) -> None:
        """Set the weights of the layer, and go on from the state of the regression."""
        super().load_state_dict(state, epoch)
        self._regression.load_state_dict(state["regression"])


class FewerNeighbours:
    """The k nearest neighbours, whose number falls from epoch to epoch. They are the head of the model."""

    def __init__(
        self,
        model: TransferModel,
        training: TrainingSet,
        *,
        distance: str,
        pools: bool,
        n_neighbours: Callable[[int], int],
    ) -> None:
        """`pools` says whether the last stage gives maps to average. `n_neighbours` returns the number for an epoch."""
        self._n_neighbours = n_neighbours
        self._neighbours = NearestNeighbours(training, n_neighbours(1), distance)
        self._vectors = nn.Sequential(*vector_layers(pools=pools))
        model.head = nn.Sequential(*self._vectors, self._neighbours)

    def fit(self, epoch: int) -> None:
        """Set the number of neighbours for an epoch."""
        self._neighbours.k = self._n_neighbours(epoch)

    def training_logits(self, features: Inputs) -> Tensor | None:
        """Return the logits of the training images without their own votes. Each is its own nearest neighbour."""
        with torch.inference_mode():
            return torch.cat(
                [
                    self._neighbours.left_out(
                        self._vectors(features.batch(index).clone()),
                        torch.arange(index.start, index.stop, device=features.values.device),
                    )
                    for index in features.slices()
                ]
            )

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: the number of neighbours follows from the epoch, and the features are cached."""
        return {}

    def load_state_dict(self, state: dict[str, Any], epoch: int) -> None:
        """Set the number of neighbours for an epoch."""
        self.fit(epoch)

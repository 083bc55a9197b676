"""ClosedFormTraining: a Trainable whose epochs compute a classifier from the features of frozen stages."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.data.dataset import Part, SearchData
from trainables.trainable import TransferModel
from trainables.training import epochs
from trainables.training.closed_form import inputs
from trainables.training.closed_form.inputs import Inputs, TrainingSet
from trainables.training.metrics import SampleResults
from trainables.training.predictions import offered


class Classifier(Protocol):
    """A classifier that changes the head of a model from epoch to epoch."""

    def fit(self, epoch: int) -> None:
        """Set the head for an epoch, counted from 1. The epochs are fitted in order."""
        ...

    def training_logits(self, features: Inputs) -> Tensor | None:
        """Return the logits to report for the training images, (n, n_classes). None for those of the head."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return what, beside the number of the epoch, is needed to go on."""
        ...

    def load_state_dict(self, state: dict[str, Any], epoch: int) -> None:
        """Set the head for an epoch that another classifier has fitted, and go on from its state."""
        ...


class BuildClassifier(Protocol):
    """Builds the classifier of a training set."""

    def __call__(self, training: TrainingSet) -> Classifier: ...


class ClosedFormTraining:
    """A Trainable that computes the head of a model, whose stages are all frozen.

    Nothing is random. The features of the training and the validation part are computed once, and are cached. The
    statistics of the training part are computed in the first step, or when a state is loaded.
    """

    def __init__(
        self,
        model: TransferModel,
        data: SearchData,
        build: BuildClassifier,
        *,
        pools: bool,
        bf16: bool,
        class_weights: Tensor | None,
    ) -> None:
        """`data` and `model` must lie on one device.

        `pools` says whether the head averages maps over their positions. With `bf16`, the features are computed in
        bfloat16; the head always computes in float32. `class_weights` are the weights of the classes, (n_classes,).
        """
        self.model = model
        self._data = data
        self._build = build
        self._pools = pools
        self._bf16 = bf16
        self._class_weights = class_weights
        self._classifier: Classifier | None = None
        self._inputs: dict[str, Inputs] = {}
        """The features of the parts `train` and `validation`, once they were needed."""
        self._epoch = 0
        self.validation_logits: Tensor | None = None
        """Those of the last validation, float32 (n_images, n_classes), unless they are too many; see `Trainable`."""
        self.validation_results: SampleResults | None = None
        """The loss and the predicted class of each image in the last validation, while its logits are offered."""

    def release_logits(self) -> None:
        """Free the memory of `validation_logits` and `validation_results`."""
        self.validation_logits = self.validation_results = None

    def step(self) -> Mapping[str, float]:
        self.release_logits()
        classifier = self._prepared()
        classifier.fit(self._epoch + 1)
        self._epoch += 1
        train = self._features("train", self._data.train)
        found = classifier.training_logits(train)
        train_logits, labels = self._logits(train) if found is None else found, self._data.train.labels
        logits = self._logits(self._features("validation", self._data.validation))
        self.validation_logits = offered(logits)
        labels_of_validation = self._data.validation.labels
        validation, results = epochs.compute_results(logits, labels_of_validation, own_metric=self._data.own_metric)
        self.validation_results = None if self.validation_logits is None else results
        return {
            **{f"val_{name}": value for name, value in validation.items()},
            "train_loss": float(functional.cross_entropy(train_logits, labels, self._class_weights)),
            "train_accuracy": float(epochs.n_correct(train_logits, labels)) / len(labels),
        }

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self._epoch, "classifier": {} if self._epoch == 0 else self._prepared().state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._epoch = state["epoch"]
        if self._epoch:
            self._prepared().load_state_dict(deepcopy(state["classifier"]), self._epoch)

    def evaluate(self, part: Part) -> Mapping[str, float]:
        return self._metrics(self._part_logits(part), part)

    def predict(self, part: Part) -> Tensor:
        """Return the class probabilities of each image of `part`, (n, n_classes), on the CPU."""
        return self._part_logits(part).softmax(dim=1).cpu()

    def evaluate_and_predict(self, part: Part) -> tuple[Mapping[str, float], Tensor]:
        """Return what `evaluate` and `predict` return for `part`, from the same logits."""
        logits = self._part_logits(part)
        return self._metrics(logits, part), logits.softmax(dim=1).cpu()

    def _prepared(self) -> Classifier:
        """The classifier of the training part. It is built when it is first needed."""
        if self._classifier is None:
            train, n_classes = self._data.train, len(self._data.classes)
            features = self._features("train", train)
            self._classifier = self._build(TrainingSet(features.pooled(), train.labels, n_classes, self._class_weights))
        return self._classifier

    def _features(self, name: str, part: Part) -> Inputs:
        if name not in self._inputs:
            self._inputs[name] = inputs.of_part(self.model, part, bf16=self._bf16, pools=self._pools)
        return self._inputs[name]

    def _part_logits(self, part: Part) -> Tensor:
        part = part.to(self._data.train.labels.device)
        if part is self._data.validation:
            return self._logits(self._features("validation", part))
        return self._logits(inputs.of_part(self.model, part, bf16=self._bf16, pools=self._pools))

    def _logits(self, features: Inputs) -> Tensor:
        """Return the logits of images, float32 (n, n_classes), on the device."""
        self.model.eval()
        with torch.inference_mode():
            return torch.cat([self.model.head(features.batch(index).clone()) for index in features.slices()])

    def _metrics(self, logits: Tensor, part: Part) -> dict[str, float]:
        labels = part.labels.to(logits.device)
        return epochs.compute_metrics(logits, labels, own_metric=self._data.own_metric)


@torch.no_grad()
def set_linear(layer: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    """Set the weights of a layer, which may have another type of numbers."""
    layer.weight.copy_(weight)
    assert layer.bias is not None, "the layer was chosen or made with a bias"
    layer.bias.copy_(bias)

"""Cross-validation: the trainings of all folds, together as one Trainable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from trainables.data.dataset import Part
from trainables.trainable import Trainable
from trainables.training.evaluation import Evaluation, evaluate_and_predict
from trainables.training.gradient_descent import Training
from trainables.training.metrics import SampleResults
from trainables.training.phases import Phases


class CrossValidation:
    """A Trainable that trains one model for each fold. Each metric is the mean over the folds."""

    def __init__(self, trainings: Sequence[Trainable]) -> None:
        """`trainings` holds one training for each fold. They are built alike, except for their data."""
        self.trainings = tuple(trainings)

    def step(self) -> Mapping[str, float]:
        return _mean([training.step() for training in self.trainings])

    @property
    def validation_logits(self) -> Tensor | None:
        """The logits of the last validation of all folds, one after another, (n_images, n_classes).

        Those of an image are from the model of the fold that did not train on it. None if a fold offers none, or if
        they cannot be joined, because the folds offer logits of different numbers of classes.
        """
        logits = [getattr(training, "validation_logits", None) for training in self.trainings]
        offered = [torch.as_tensor(each) for each in logits if each is not None]
        if len(offered) < len(logits) or len({each.shape[1:] for each in offered}) > 1:
            return None
        return torch.cat(offered)

    @property
    def validation_results(self) -> SampleResults | None:
        """The loss and the predicted class of each image of all folds, one after another. None if a fold has none."""
        found = [getattr(training, "validation_results", None) for training in self.trainings]
        known = [each for each in found if each is not None]
        if len(known) < len(found):
            return None
        return SampleResults(*(torch.cat(each) for each in zip(*known, strict=True)))

    def release_logits(self) -> None:
        """Free the memory of `validation_logits` and `validation_results`, of all folds that can."""
        for training in self.trainings:
            if (release := getattr(training, "release_logits", None)) is not None:
                release()

    def begin_next_phase(self) -> bool:
        """Begin the next phase of all folds, as `Phases.begin_next_phase` does. False if they have no further phase."""
        return all(isinstance(each, Phases | Training) and each.begin_next_phase() for each in self.trainings)

    def state_dict(self) -> dict[str, Any]:
        return {"folds": [training.state_dict() for training in self.trainings]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for training, fold_state in zip(self.trainings, state["folds"], strict=True):
            training.load_state_dict(fold_state)

    def evaluate(self, part: Part) -> Mapping[str, float]:
        """Return the mean of each metric of the models of all folds on `part`."""
        return _mean([training.evaluate(part) for training in self.trainings])

    def predict(self, part: Part) -> Tensor:
        """Return the mean of the class probabilities of the models of all folds, (n, n_classes).

        Raises AttributeError if the trainings have no `predict`.
        """
        return torch.stack([training.predict(part) for training in self.trainings]).mean(dim=0)  # type: ignore[attr-defined]

    def evaluate_and_predict(self, part: Part) -> Evaluation:
        """Return what `evaluate` and `predict` return for `part`, in one pass for each fold.

        There are no probabilities if the trainings have no `predict`.
        """
        found = [evaluate_and_predict(training, part) for training in self.trainings]
        probabilities = [each.probabilities for each in found if each.probabilities is not None]
        mean = torch.stack(probabilities).mean(dim=0) if len(probabilities) == len(found) else None
        return Evaluation(_mean([each.metrics for each in found]), mean)


def _mean(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over the folds. All folds report the same metrics."""
    return {key: fmean(each[key] for each in metrics) for key in metrics[0]}

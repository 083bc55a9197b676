"""Cross-validation: one training for each fold, side by side, as one Trainable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from trainables.data.dataset import Part
from trainables.trainable import Trainable


class Folds:
    """Steps the trainings of all folds; each of its metrics is the mean over them."""

    def __init__(self, trainings: Sequence[Trainable]) -> None:
        """The trainings, one a fold, built alike but for their data."""
        self.trainings = tuple(trainings)

    def step(self) -> Mapping[str, float]:
        return _mean([training.step() for training in self.trainings])

    def state_dict(self) -> dict[str, Any]:
        return {"folds": [training.state_dict() for training in self.trainings]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for training, each in zip(self.trainings, state["folds"], strict=True):
            training.load_state_dict(each)

    def evaluate(self, part: Part) -> Mapping[str, float]:
        """The mean of what each fold's model gives."""
        return _mean([training.evaluate(part) for training in self.trainings])

    def predict(self, part: Part) -> Tensor:
        """The mean of the probabilities that each fold's model gives, (n, classes); an AttributeError without them."""
        return torch.stack([training.predict(part) for training in self.trainings]).mean(dim=0)  # type: ignore[attr-defined]


def _mean(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each metric; all are of the same kind."""
    return {key: fmean(each[key] for each in metrics) for key in metrics[0]}

"""The evaluation of any Trainable on a part: its metrics and its predictions, in one pass over the part if it can."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from trainables.data.dataset import Part
from trainables.errors import SetupError
from trainables.trainable import Trainable


class Evaluation(NamedTuple):
    """What a trainable gives for the images of a part."""

    metrics: Mapping[str, float]
    """`loss`, `accuracy` and any others."""
    probabilities: Tensor | None
    """The probability of each class, (n, n_classes), on the CPU. None if the trainable has no method `predict`."""


def evaluate(trainable: Trainable, part: Part, n_classes: int) -> Evaluation:
    """Evaluate a trainable on a part, and predict the classes of its images.

    Raises SetupError if `predict` returns another shape. Any error of a method is passed on.
    """
    found = evaluate_and_predict(trainable, part)
    if found.probabilities is not None and found.probabilities.shape != (len(part), n_classes):
        raise SetupError(
            f"predict(part) of the trainable returned shape {tuple(found.probabilities.shape)}; needed is "
            f"({len(part)}, {n_classes}): images, classes"
        )
    return found


def evaluate_and_predict(trainable: Trainable, part: Part) -> Evaluation:
    """Call the methods `evaluate` and `predict` of a trainable, without a check of what they return.

    A method `evaluate_and_predict` needs only one pass over the part. It is called only if the class of the trainable
    itself defines it: a subclass or a wrapper may have an `evaluate` or `predict` of its own, which must count.
    """
    is_changed = not {"evaluate", "predict"}.isdisjoint(getattr(trainable, "__dict__", ()))
    if "evaluate_and_predict" in vars(type(trainable)) and not is_changed:
        metrics, probabilities = trainable.evaluate_and_predict(part)  # type: ignore[attr-defined]
    else:
        metrics = trainable.evaluate(part)
        predict = getattr(trainable, "predict", None)
        probabilities = predict(part) if callable(predict) else None
    return Evaluation(metrics, None if probabilities is None else torch.as_tensor(probabilities).detach().cpu())

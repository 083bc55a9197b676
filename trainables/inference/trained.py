"""What a model folder needs of a trained trainable: its model, and the calibration of its probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.data.dataset import Part
from trainables.errors import SetupError
from trainables.inference import calibration
from trainables.inference.calibration import Calibration
from trainables.trainable import Trainable, TransferModel

BATCH_SIZE = 256
MAX_DIFFERENCE = 0.02
"""The largest difference between the validation accuracy of a module and the one that its trainable reported."""


def models(trainable: Trainable) -> list[nn.Module]:
    """Return the model of a trainable, or with cross-validation the model of each fold.

    Raises SetupError if it has no attribute `model` that is a module of torch.
    """
    found = []
    for each in getattr(trainable, "trainings", (trainable,)):
        model = getattr(each, "model", None)
        if not isinstance(model, nn.Module):
            raise SetupError("its trainable has no attribute `model` that is a torch.nn.Module, so it has no weights")
        found.append(model)
    return found


@torch.no_grad()
def logits(model: nn.Module, part: Part) -> Tensor:
    """Return the logits of the images of a part, float32, (n, n_classes), on the CPU.

    A TransferModel gets the images as they are. Any other module gets them as float32 of 0..1. The model is left in
    evaluation mode.
    """
    model.eval()
    tensor = next(model.parameters(), torch.empty(0))
    found = []
    for start in range(0, len(part), BATCH_SIZE):
        images = part.batch(slice(start, start + BATCH_SIZE)).to(tensor.device)
        if images.dtype == torch.uint8 and not isinstance(model, TransferModel):
            images = images.float().div_(255)
        found.append(model(images).float().cpu())
    return torch.cat(found)


def _is_ours(training: object) -> bool:
    """Whether a training is one of this package. Code of the user may predict otherwise than its model alone does."""
    return type(training).__module__.partition(".")[0] == __name__.partition(".")[0] and hasattr(training, "predict")


def _log_probabilities(training: Any, part: Part) -> Tensor:
    """The logits of the images of a part that a training predicts, each row up to a constant; as in `logits`."""
    probabilities: Tensor = training.predict(part)
    return probabilities.clamp(min=torch.finfo(torch.float32).tiny).log()


def calibrate(
    trainable: Trainable, parts: Sequence[Part], reported: float | None = None, *, predicts: bool = True
) -> Calibration:
    """Fit the temperature of a trained trainable on its validation part.

    With cross-validation, `parts` are those of the folds, and each image counts for the model that validates it.
    `reported` is the validation accuracy that the trainable reported. With `predicts`, a training of this package
    predicts by itself, so that kept features are not computed again. Without, its model has other weights than those
    that it trained. Raises SetupError if its model is no TransferModel, and alone has another accuracy: then it takes
    other images.
    """
    found_models, trainings = models(trainable), getattr(trainable, "trainings", (trainable,))
    found = torch.cat(
        [
            _log_probabilities(training, part)
            if predicts and isinstance(model, TransferModel) and _is_ours(training)
            else logits(model, part)
            for training, model, part in zip(trainings, found_models, parts, strict=True)
        ]
    )
    labels = torch.cat([part.labels.cpu() for part in parts])
    accuracy = float((found.argmax(dim=1) == labels).double().mean())
    is_own = not all(isinstance(model, TransferModel) for model in found_models)
    if is_own and reported is not None and not abs(accuracy - reported) <= MAX_DIFFERENCE:
        raise SetupError(
            f"its `model` alone has the validation accuracy {accuracy:.4f}, but its training reported {reported:.4f}; "
            "a module must take images of 0..1, (n, channels, height, width), and return one logit for each class"
        )
    return calibration.fit(found, labels)


def calibrate_logits(found: NDArray[np.floating], labels: NDArray[np.int64]) -> Calibration:
    """Fit the temperature of a model on the logits (n, n_classes) that it gave for images with these labels, (n,)."""
    return calibration.fit(torch.from_numpy(found).float(), torch.from_numpy(labels))


def held_out_errors(found: Calibration, probabilities: Tensor, labels: Tensor) -> dict[str, float]:
    """Return the expected calibration error on held-out images, without and with the temperature.

    `probabilities` (n, n_classes) are those of the model without the temperature.
    """
    before = probabilities.double()
    after = (before.clamp(min=torch.finfo(torch.float32).tiny).log() / found.temperature).softmax(dim=1)
    return {
        "held_out_error_before": calibration.expected_calibration_error(before, labels),
        "held_out_error_after": calibration.expected_calibration_error(after, labels),
    }

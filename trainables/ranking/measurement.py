"""Measures one pretrained model on a data set: its features, their LogME, a cross-validated probe, and its cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.data.dataset import Part, SearchData
from trainables.errors import SetupError
from trainables.ranking.logme import logme
from trainables.ranking.probe import is_correct
from trainables.trainable import TransferModel
from trainables.training.closed_form import Inputs, heads
from trainables.training.closed_form.inputs import MAX_WIDTH, of_part

N_TIMED = 16
"""The number of images of a timed batch."""
N_TIMINGS = 3
"""The number of timed batches. The fastest counts, because other work can only slow a batch down."""


@dataclass(frozen=True)
class Measurement:
    """What was measured of a model."""

    is_correct: Tensor
    """bool (n,): whether the cross-validated probe classified each image correctly, in the order of the folds."""
    logme: float
    seconds_per_image: float
    """The time of the frozen stages for an image, in a batch of N_TIMED, on the cores of this process or on the GPU."""
    n_parameters: int
    """The number of weights of the stages, without the head."""
    n_features: int
    """The number of features of an image."""
    image_size: tuple[int, int]
    """Height and width of the images in pixels."""


def measure(model: TransferModel, folds: Sequence[SearchData], *, bf16: bool = False) -> Measurement:
    """Measure a model whose weights are pretrained, on the data of a search.

    `folds` are the data of each fold of a cross-validation. A single one is a split: then the probe is fitted on its
    training part and scored on its validation part. All lie on one device, to which the model is moved. The features
    come from the feature cache. The head of the model may be replaced. Raises SetupError if an image has more features
    than a ridge regression takes: MAX_WIDTH.
    """
    first, n_classes = folds[0], len(folds[0].classes)
    device = first.train.labels.device
    model.freeze(model.stages)
    layer, pools = heads.linear_layer(model, first.train, n_classes)
    if layer.in_features > MAX_WIDTH:
        raise SetupError(
            f"it gives {layer.in_features:,} features an image, and at most {MAX_WIDTH:,} can be ranked; a smaller "
            "`image_size` may give fewer",
            keys=("model", "image_size"),
        )
    model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    parts = [fold.validation for fold in folds] if len(folds) > 1 else [first.train, first.validation]
    numbers = list(range(len(folds))) if len(folds) > 1 else [-1, 0]
    inputs = _joined([of_part(model, part, bf16=bf16, pools=pools).pooled() for part in parts])
    labels = torch.cat([part.labels for part in parts])
    of_images = torch.cat([torch.full((len(part),), n) for part, n in zip(parts, numbers, strict=True)])
    return Measurement(
        is_correct(inputs, labels, of_images, n_classes).cpu(),
        logme(inputs, labels, n_classes),
        _seconds_per_image(model, first.train, bf16),
        sum(parameter.numel() for parameter in model.stages.parameters()),
        inputs.width,
        (first.train.shape[1], first.train.shape[2]),
    )


def _joined(parts: Sequence[Inputs]) -> Inputs:
    """Return the inputs of several parts as one. Rows of the same features are not copied."""
    values, rows = parts[0].values, [part.rows for part in parts if part.rows is not None]
    if len(rows) == len(parts) and all(part.values is values for part in parts):
        return Inputs(values, torch.cat(rows), parts[0].pools)
    return Inputs(torch.cat([part.batch(slice(0, len(part))) for part in parts]), None, parts[0].pools)


@torch.no_grad()
def _seconds_per_image(model: TransferModel, part: Part, bf16: bool) -> float:
    """Return the time of the stages for an image: that of the fastest of some batches."""
    images = part.batch(slice(min(N_TIMED, len(part))))
    model.eval()
    times = []
    for _ in range(1 + N_TIMINGS):  # the first batch warms up
        start = time.perf_counter()
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=bf16):
            model.features(images).sum().item()  # waits for the device
        times.append(time.perf_counter() - start)
    return min(times[1:]) / len(images)

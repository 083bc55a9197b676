"""Measures one pretrained model on a data set: its features, their LogME, a cross-validated probe, and its cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.data import group_numbers
from trainables.data.dataset import SearchData
from trainables.errors import SetupError
from trainables.ranking.logme import logme
from trainables.ranking.probe import is_correct
from trainables.ranking.timing import seconds_of_last_stages
from trainables.trainable import TransferModel
from trainables.training.closed_form import Inputs, heads
from trainables.training.closed_form.inputs import MAX_WIDTH, of_part


@dataclass(frozen=True)
class Measurement:
    """What was measured of a model."""

    is_correct: Tensor
    """bool (n,): whether the cross-validated probe classified each image correctly, in the order of the folds."""
    groups: Tensor | None
    """int64 (n,): the number of the group of each of these images. None without groups."""
    logme: float
    seconds_of_last_stages: tuple[float, ...]
    """The time of the last 1, 2, ... stages with weights for an image, on the cores of this process or on the GPU.

    The last of them is the time of the whole frozen network."""
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
        group_numbers.of_parts([fold.validation for fold in folds]),
        logme(inputs, labels, n_classes),
        seconds_of_last_stages(model, first.train, bf16=bf16),
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

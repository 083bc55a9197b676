"""The head that a closed-form classifier is written into."""

from __future__ import annotations

from torch import nn

from trainables.data.dataset import Part
from trainables.features import feature_cache
from trainables.trainable import TransferModel

WITHOUT_WEIGHTS = (nn.Flatten, nn.Dropout, nn.Identity)
"""Layers that only pass vectors on in evaluation mode."""


def linear_layer(model: TransferModel, part: Part, n_classes: int) -> tuple[nn.Linear, bool]:
    """Return the linear layer of the head of `model`, and whether it gets the means of maps over their positions.

    A head that is one linear layer on the features stays, and may have layers around it that change nothing in
    evaluation mode. Any other head is replaced by a linear layer. That gets the means of the maps if the last stage
    gives maps (channels, height, width).
    """
    shape = feature_cache.shape(model, part)
    layers = list(model.head.children()) if isinstance(model.head, nn.Sequential) else [model.head]
    linear = [layer for layer in layers if not isinstance(layer, WITHOUT_WEIGHTS)]
    width = feature_cache.width(model, part)
    first = linear[0] if len(linear) == 1 else None
    if isinstance(first, nn.Linear) and first.bias is not None and first.weight.shape == (n_classes, width):
        return first, False
    pools = len(shape) == 3
    layer = nn.Linear(shape[0] if pools else width, n_classes)
    model.head = nn.Sequential(*vector_layers(pools=pools), layer)
    return layer, pools


def vector_layers(*, pools: bool) -> list[nn.Module]:
    """Return the layers that make vectors of features: the mean over the positions of maps if `pools`, and flatten."""
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten()] if pools else [nn.Flatten()]

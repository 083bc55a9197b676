"""InputSpec: the images that a model expects. The file of a model defines one as `INPUT`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class InputSpec:
    """The size, channels and normalization of the images that a model expects. None means that any value will do."""

    size: int | None = None
    """The height and the width of the images, in pixels."""
    channels: int | None = None
    mean: tuple[float, ...] | None = None
    """For each channel, the value that is subtracted from images in 0..1."""
    std: tuple[float, ...] | None = None
    """For each channel, the value by which the difference is divided."""


IMAGENET = InputSpec(size=224, channels=3, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""The size and normalization that most networks pretrained on ImageNet expect."""

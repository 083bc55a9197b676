"""What a model expects of its images, stated in its file as `INPUT`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class InputSpec:
    """The form and the normalisation of images; None where any will do."""

    size: int | None = None
    """Pixels a side."""
    channels: int | None = None
    mean: tuple[float, ...] | None = None
    """One value a channel, of images of 0..1."""
    std: tuple[float, ...] | None = None


IMAGENET = InputSpec(size=224, channels=3, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""The size and statistics that most networks were trained with on ImageNet."""

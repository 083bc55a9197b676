"""What torchvision's RandAugment, TrivialAugmentWide and AugMix do with a single image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trainables import vision

TORCHVISION = {
    "identity": "Identity",
    "shear_x": "ShearX",
    "shear_y": "ShearY",
    "translate_x": "TranslateX",
    "translate_y": "TranslateY",
    "rotate": "Rotate",
    "brightness": "Brightness",
    "color": "Color",
    "contrast": "Contrast",
    "sharpness": "Sharpness",
    "posterize": "Posterize",
    "solarize": "Solarize",
    "auto_contrast": "AutoContrast",
    "equalize": "Equalize",
}
"""Its names of the operations."""


def magnitudes(kind: str, name: str, n: int, size: tuple[int, int]) -> Tensor | None:
    """The `n` values of an operation in a class of torchvision, for images of `size`. None if it has no values."""
    space = getattr(vision.transforms(), kind)._AUGMENTATION_SPACE
    found: Tensor | None = space[TORCHVISION[name]][0](n, *size)
    return found


def is_signed(kind: str, name: str) -> bool:
    """Whether a class of torchvision draws a sign for the values of an operation."""
    signed: bool = getattr(vision.transforms(), kind)._AUGMENTATION_SPACE[TORCHVISION[name]][1]
    return signed


def operated(image: Tensor, name: str, value: float, mode: str) -> Tensor:
    """An image (channels, height, width) after an operation of torchvision's classes."""
    reference: Any = vision.transforms().RandAugment()
    found: Tensor = reference._apply_image_or_video_transform(image, TORCHVISION[name], value, mode, reference._fill)
    return found


def value(kind: str, name: str, level: int, negative: bool, n: int, size: tuple[int, int]) -> float:
    """The value that a class of torchvision gives an operation at a magnitude of 0 to `n` - 1."""
    found = magnitudes(kind, name, n, size)
    if found is None:
        return 0.0
    return float(found[level]) * (-1 if negative and is_signed(kind, name) else 1)


def in_bytes(images: Tensor) -> Tensor:
    """Images of 0..1 as uint8."""
    return (images * 255).round().to(torch.uint8)

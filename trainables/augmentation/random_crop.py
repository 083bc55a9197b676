"""Random resized crops: a random part of each image, resized to the size of the image."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.augmentation import boxes, transforms
from trainables.augmentation.interface import AT_LEAST_1, Recipe
from trainables.hyperparameters import ABOVE_0_TO_1, Config, read_float

HYPERPARAMETERS = {
    "crop_scale": "random crop: the smallest share of the image's area, above 0 to 1; 1 leaves the crop out; "
    "default 0.08",
    "crop_ratio": "random crop: the largest width divided by height, at least 1; the smallest is 1 / this; default 4/3",
}
RANGES = {"crop_scale": "0 < float <= 1", "crop_ratio": "float >= 1"}
WHEN = {
    "crop_scale": {"augmentation": ["crop_flip", "crop_flip_jitter", "rand_augment", "trivial_augment", "augmix"]},
    "crop_ratio": {"augmentation": ["crop_flip", "crop_flip_jitter", "rand_augment", "trivial_augment", "augmix"]},
}


def build(config: Config) -> Recipe | None:
    """Return random resized crops, or None if `crop_scale` is 1. A WrongValue if a value is not allowed.

    The method is that of torchvision's RandomResizedCrop (Szegedy et al. 2015, arXiv 1409.4842). The share of the area
    is uniform, the ratio of the sides is log-uniform, and all places have the same probability. If no box of ten fits,
    the crop is central. Resizing is bilinear.
    """
    scale = read_float(config, "crop_scale", 0.08, ABOVE_0_TO_1)
    ratio = read_float(config, "crop_ratio", 4 / 3, AT_LEAST_1)
    if scale == 1:
        return None

    def crop(images: Tensor, generator: torch.Generator) -> Tensor:
        height, width = images.shape[2:]
        drawn = draw(len(images), (height, width), scale, ratio, generator).to(images.device)
        top, left, heights, widths = drawn.float().unbind(dim=1)
        return transforms.crop(images, top, left, height=heights, width=widths)

    return crop


def draw(n: int, size: tuple[int, int], scale: float, ratio: float, generator: torch.Generator) -> Tensor:
    """Draw a box for each of `n` images of `size` (height, width). Return top, left, height, width, int64 (n, 4)."""
    height, width = size
    widths, heights = boxes.draw_sides(n, height * width, (scale, 1.0), (1 / ratio, ratio), generator)
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    widths, heights, found = boxes.first_that_fits(widths, heights, fits)
    central_height = min(height, round(width * ratio))
    central_width = min(width, round(height * ratio))
    heights = heights.where(found, central_height)
    widths = widths.where(found, central_width)
    top = boxes.draw_starts(heights, height, generator).where(found, (height - central_height) // 2)
    left = boxes.draw_starts(widths, width, generator).where(found, (width - central_width) // 2)
    return torch.stack([top, left, heights, widths], dim=1)

"""Random erasing: a random box of some images is replaced by one colour or by noise."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.augmentation import boxes
from trainables.augmentation.interface import FROM_0_TO_1, Recipe
from trainables.hyperparameters import Config, Rule, read_choice, read_float

HYPERPARAMETERS = {
    "random_erasing": "probability of erasing a random box of an image, 0 to 1; after the augmentation; default 0",
    "erasing_scale": "random erasing: the largest share of the image's area, at least 0.02, at most 1; default 0.33",
    "erasing_mode": ["const", "pixel"],
}
MEANINGS = {"erasing_mode": "random erasing fills with: the colour that normalisation turns into 0, or random pixels"}
RANGES = {"random_erasing": "0 <= float <= 1", "erasing_scale": "0.02 <= float <= 1"}
WHEN = {"erasing_scale": {"random_erasing": "given"}, "erasing_mode": {"random_erasing": "given"}}
SMALLEST_SCALE = 0.02
RATIO = (0.3, 3.3)
"""The range of the height divided by the width."""
_SCALE = Rule("of at least 0.02 and at most 1", lambda value: SMALLEST_SCALE <= value <= 1)


def build(config: Config, mean: Tensor | None = None) -> Recipe | None:
    """Return random erasing, or None if its probability is 0. A WrongValue if a value is not allowed.

    The method is that of torchvision's RandomErasing (Zhong et al. 2017, arXiv 1708.04896). An image in which no box of
    ten fits is not changed. Mode const fills with `mean`, (1, channels, 1, 1), which is black without it: it is the
    mean by which the images are normalised later, so the box is 0 in what the network gets. Mode pixel draws each value
    uniformly from 0 to 1, as in the paper.
    """
    probability = read_float(config, "random_erasing", 0.0, FROM_0_TO_1)
    scale = read_float(config, "erasing_scale", 0.33, _SCALE)
    mode = read_choice(config, "erasing_mode", "const", ("const", "pixel"))
    if probability == 0:
        return None

    def erase(images: Tensor, generator: torch.Generator) -> Tensor:
        height, width = images.shape[2:]
        drawn = draw(len(images), (height, width), probability, scale, generator)
        erased = images.clone()
        colour = torch.zeros(1, 1, 1) if mean is None else mean[0]
        colour = colour.to(images.device)
        for row, (top, left, box_height, box_width) in enumerate(drawn.tolist()):
            if box_height == 0 or box_width == 0:
                continue
            box = erased[row, :, top : top + box_height, left : left + box_width]
            noise = torch.rand(box.shape, generator=generator) if mode == "pixel" else None
            box.copy_(colour if noise is None else noise)
        return erased

    return erase


def draw(n: int, size: tuple[int, int], probability: float, scale: float, generator: torch.Generator) -> Tensor:
    """Draw a box for each of `n` images of `size` (height, width). Return top, left, height, width, int64 (n, 4).

    The height and the width are 0 for an image that is not erased.
    """
    height, width = size
    erased = torch.rand(n, generator=generator, dtype=torch.float64) < probability
    heights, widths = boxes.draw_sides(n, height * width, (SMALLEST_SCALE, scale), RATIO, generator)
    heights, widths, found = boxes.first_that_fits(heights, widths, (heights < height) & (widths < width))
    heights, widths = ((erased & found) * each for each in (heights, widths))
    top, left = boxes.draw_starts(heights, height, generator), boxes.draw_starts(widths, width, generator)
    return torch.stack([top, left, heights, widths], dim=1)

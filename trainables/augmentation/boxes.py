"""Random sizes and positions of boxes in an image, for crops and erasing. All tensors are on the CPU."""

from __future__ import annotations

import math

import torch
from torch import Tensor

N_ATTEMPTS = 10
"""How many sizes are drawn for an image. The first that fits is used, as in torchvision."""


def draw_sides(
    n: int, area: int, scale: tuple[float, float], ratio: tuple[float, float], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw `N_ATTEMPTS` boxes for each of `n` images of `area` pixels. Return both sides, int64 (n, N_ATTEMPTS).

    A box has a share of the area that is uniform in `scale`. The first side divided by the second is drawn from
    `ratio`, uniformly on a logarithmic scale. Sides are rounded to whole pixels.
    """
    drawn = torch.rand(2, n, N_ATTEMPTS, generator=generator, dtype=torch.float64)
    areas = area * (scale[0] + (scale[1] - scale[0]) * drawn[0])
    low, high = (math.log(each) for each in ratio)
    ratios = (low + (high - low) * drawn[1]).exp()
    return (areas * ratios).sqrt().round().long(), (areas / ratios).sqrt().round().long()


def first_that_fits(first: Tensor, second: Tensor, fits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return for each image the sides of its first box that fits, int64 (n,), and whether it has one, bool (n,).

    All arguments are (n, N_ATTEMPTS). The sides of an image without such a box are those of its first box.
    """
    attempt = fits.long().argmax(dim=1, keepdim=True)
    return first.gather(1, attempt)[:, 0], second.gather(1, attempt)[:, 0], fits.any(dim=1)


def draw_starts(lengths: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Draw where boxes begin along a `side` of the image, int64 (n,). All places have the same probability.

    `lengths` are those of the boxes along this side, int64 (n,).
    """
    drawn = torch.rand(len(lengths), generator=generator, dtype=torch.float64)
    return (drawn * (side - lengths + 1)).floor().long()

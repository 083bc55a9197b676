"""Mixup and collage: mix each training image with another image of its batch, and their targets in the same way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from trainables.hyperparameters import ABOVE_0, Config, read_choice, read_float

HYPERPARAMETERS = {
    "mixing": ["none", "mixup", "collage"],
    "mixup_alpha": "mixup: weights are drawn from Beta(alpha, alpha), above 0; default 1, which is uniform",
}
MEANINGS = {"mixing": "mixes the images of a batch and their labels"}

Mixing = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""Takes images, float32 in 0..1 (n, channels, height, width), their targets, float (n, n_classes), and a CPU generator.
Returns mixed images and targets of the same shapes.

Images and targets are on the same device, which can be any. Each image is mixed with a random other image of the batch,
with its own random weight. Its target becomes the weighted mean of both targets. A batch of one image is returned
unchanged. The arguments are not modified.
"""


def mixing(config: Config) -> Mixing | None:
    """Return the mixing that `config` names, or None if it names none. A WrongValue if a value is not allowed.

    mixup returns the weighted mean of two images (Zhang et al. 2018, arXiv 1710.09412). The weight of the first is
    drawn from Beta(`mixup_alpha`, `mixup_alpha`).

    collage divides the image at a random row or column. The lower or right side is replaced by the same side of the
    other image. The weights are the shares of pixels. Each image keeps at least one row or column.
    """
    name = read_choice(config, "mixing", "none", ("none", "mixup", "collage"))
    if name == "none":
        return None
    if name == "collage":
        return _collage
    alpha = read_float(config, "mixup_alpha", 1.0, ABOVE_0)
    return lambda images, targets, generator: _mixup(images, targets, generator, alpha=alpha)


def _mixup(images: Tensor, targets: Tensor, generator: torch.Generator, *, alpha: float) -> tuple[Tensor, Tensor]:
    if len(images) < 2:
        return images, targets
    partners = _partners(len(images), generator).to(images.device)
    # torch cannot draw from a Beta distribution with a given generator. NumPy can, so torch's generator seeds NumPy's.
    seed = int(torch.randint(2**62, (), generator=generator))
    weights = torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, len(images))).to(images)
    mixed = torch.lerp(images[partners], images, weights.reshape(-1, 1, 1, 1))
    return mixed, _mix_targets(targets, partners, weights)


def _collage(images: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    if len(images) < 2:
        return images, targets
    partners = _partners(len(images), generator).to(images.device)
    positions, directions = torch.rand(2, len(images), generator=generator).to(images.device)
    by_rows = directions < 0.5
    row_kept, row_share = _kept_pixels(positions, images.shape[2])
    column_kept, column_share = _kept_pixels(positions, images.shape[3])
    kept = torch.where(by_rows[:, None, None], row_kept[:, :, None], column_kept[:, None, :])
    weights = torch.where(by_rows, row_share, column_share)
    return torch.where(kept[:, None], images, images[partners]), _mix_targets(targets, partners, weights)


def _partners(n: int, generator: torch.Generator) -> Tensor:
    """Return for each of `n` images the index of another one. All other images have the same probability."""
    return (torch.arange(n) + torch.randint(1, n, (n,), generator=generator)) % n


def _kept_pixels(positions: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return which rows (or columns) of an image are kept, bool (n, side), and their share of all, (n,).

    `positions`, (n,), says where each image is divided: 0 keeps one row, values near 1 all but one. `side` is the
    number of rows. A single row is always kept.
    """
    n_kept = 1 + (positions * (side - 1)).floor()
    return torch.arange(side, device=positions.device) < n_kept[:, None], n_kept / side


def _mix_targets(targets: Tensor, partners: Tensor, weights: Tensor) -> Tensor:
    return torch.lerp(targets[partners], targets, weights.to(targets.dtype)[:, None])

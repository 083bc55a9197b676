"""Mixup, CutMix and collage: mix each training image with another image of its batch, and their targets likewise."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from trainables.hyperparameters import ABOVE_0, Config, read_choice, read_float

HYPERPARAMETERS = {
    "mixing": ["none", "mixup", "collage", "cutmix", "mixup_cutmix"],
    "mixup_alpha": "mixup: weights are drawn from Beta(alpha, alpha), above 0; default 1, which is uniform",
    "cutmix_alpha": "cutmix: the area that an image keeps is drawn from Beta(alpha, alpha), above 0; default 1",
}
RANGES = {"mixup_alpha": "float > 0", "cutmix_alpha": "float > 0"}
WHEN = {
    "mixup_alpha": {"mixing": ["mixup", "mixup_cutmix"]},
    "cutmix_alpha": {"mixing": ["cutmix", "mixup_cutmix"]},
}
ALPHAS = ("mixup_alpha", "cutmix_alpha")
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

    cutmix replaces a box of the image by the same box of the other image (Yun et al. 2019, arXiv 1905.04899). Its share
    of the area is 1 minus a number drawn from Beta(`cutmix_alpha`, `cutmix_alpha`). Its centre has the same probability
    everywhere. What lies outside the image is cut off. The weights are the shares of pixels.

    mixup_cutmix applies mixup to half of the images at random, and cutmix to the others.

    collage divides the image at a random row or column. The lower or right side is replaced by the same side of the
    other image. The weights are the shares of pixels. Each image keeps at least one row or column.
    """
    name = read_choice(config, "mixing", "none", tuple(HYPERPARAMETERS["mixing"]))
    if name == "none":
        return None
    if name == "collage":
        return _collage
    alphas = [read_float(config, key, 1.0, ABOVE_0) for key in ALPHAS if key.removesuffix("_alpha") in name]
    if name == "mixup_cutmix":
        return partial(_mixup_cutmix, mixup_alpha=alphas[0], cutmix_alpha=alphas[1])
    return partial(_mixup if name == "mixup" else _cutmix, alpha=alphas[0])


def _mixup(images: Tensor, targets: Tensor, generator: torch.Generator, *, alpha: float) -> tuple[Tensor, Tensor]:
    if len(images) < 2:
        return images, targets
    partners = _partners(len(images), generator).to(images.device)
    weights = _draw_beta(alpha, len(images), generator).to(images)
    mixed = torch.lerp(images[partners], images, weights.reshape(-1, 1, 1, 1))
    return mixed, _mix_targets(targets, partners, weights)


def _cutmix(images: Tensor, targets: Tensor, generator: torch.Generator, *, alpha: float) -> tuple[Tensor, Tensor]:
    if len(images) < 2:
        return images, targets
    partners = _partners(len(images), generator).to(images.device)
    kept, weights = (each.to(images.device) for each in _draw_kept(alpha, images.shape, generator))
    return torch.where(kept, images, images[partners]), _mix_targets(targets, partners, weights)


def _mixup_cutmix(
    images: Tensor, targets: Tensor, generator: torch.Generator, *, mixup_alpha: float, cutmix_alpha: float
) -> tuple[Tensor, Tensor]:
    if len(images) < 2:
        return images, targets
    partners = _partners(len(images), generator).to(images.device)
    by_cutmix = torch.rand(len(images), generator=generator) < 0.5
    weights = _draw_beta(mixup_alpha, len(images), generator).float()
    kept, kept_shares = _draw_kept(cutmix_alpha, images.shape, generator)
    # Each pixel has the weight of its image in mixup, and the weight 0 or 1 in CutMix.
    per_pixel = torch.where(by_cutmix.reshape(-1, 1, 1, 1), kept.float(), weights.reshape(-1, 1, 1, 1))
    mixed = torch.lerp(images[partners], images, per_pixel.to(images.device))
    weights = torch.where(by_cutmix, kept_shares, weights).to(images.device)
    return mixed, _mix_targets(targets, partners, weights)


def _draw_beta(alpha: float, n: int, generator: torch.Generator) -> Tensor:
    """Draw `n` numbers from Beta(alpha, alpha), float64."""
    # torch cannot draw from a Beta distribution with a given generator. NumPy can, so torch's generator seeds NumPy's.
    seed = int(torch.randint(2**62, (), generator=generator))
    return torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, n))


def _draw_kept(alpha: float, shape: torch.Size, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw the boxes of CutMix for images of `shape`.

    Returns which pixels lie outside the box of their image, bool (n, 1, height, width), and their share of all pixels,
    float32 (n,). Both are on the CPU.
    """
    n, _, height, width = shape
    half = 0.5 * (1 - _draw_beta(alpha, n, generator)).sqrt()  # of each side of the box, as a share of the image's
    in_rows, in_columns = (_draw_span(half, side, generator) for side in (height, width))
    n_replaced = in_rows.sum(dim=1) * in_columns.sum(dim=1)
    kept = ~(in_rows[:, None, :, None] & in_columns[:, None, None, :])
    return kept, (1 - n_replaced.double() / (height * width)).float()


def _draw_span(half: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Draw which of the `side` rows (or columns) a box covers, bool (n, side).

    `half` is half the length of the box as a share of `side`, (n,). It is rounded down to whole rows.
    """
    centre = torch.randint(side, (len(half),), generator=generator)[:, None]
    reach = (half * side).floor().long()[:, None]
    rows = torch.arange(side)
    return (rows >= centre - reach) & (rows < centre + reach)


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

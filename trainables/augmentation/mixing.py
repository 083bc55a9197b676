"""Mixing by name: each training image with another of its batch, and their targets alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from trainables.hyperparameters import ABOVE_0, Config, choice, real

HYPERPARAMETERS = {
    "mixing": ["none", "mixup", "collage"],
    "mixup_alpha": "of mixup: weights are drawn from Beta(alpha, alpha), above 0; default 1, which is uniform",
}

Mixing = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""Images, float32 of 0..1 (n, channels, height, width), their targets, float (n, classes), and a CPU generator:
images and targets alike.

Images and targets lie on one device, which may be any. Each image is mixed with another of the batch,
drawn at random and never itself, by a weight of its own; its target becomes the sum of both targets by
the same weights. A batch of one stays as it is. What went in is not changed.
"""


def mixing(config: Config) -> Mixing | None:
    """The mixing that `config` names; None where it names none. A ValueError names a wrong value and its key.

    mixup adds two images up, pixel by pixel (Zhang et al. 2018, arXiv 1710.09412); the weight of the
    first is drawn from Beta(`mixup_alpha`, `mixup_alpha`). collage cuts the image at a random place,
    across or down, and fills the right or the lower side with the same side of the other; the
    weights are the shares of pixels, and each image keeps at least one row or column.
    """
    name = choice(config, "mixing", "none", ("none", "mixup", "collage"))
    if name == "none":
        return None
    if name == "collage":
        return _collage
    alpha = real(config, "mixup_alpha", 1.0, ABOVE_0)
    return lambda images, targets, generator: _mixup(images, targets, generator, alpha=alpha)


def _mixup(images: Tensor, targets: Tensor, generator: torch.Generator, *, alpha: float) -> tuple[Tensor, Tensor]:
    if len(images) < 2:
        return images, targets
    partners = _partners(len(images), generator).to(images.device)
    # torch draws from no Beta distribution by a generator of one's own; NumPy does, seeded by that one.
    seed = int(torch.randint(2**62, (), generator=generator))
    weights = torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, len(images))).to(images)
    mixed = torch.lerp(images[partners], images, weights.reshape(-1, 1, 1, 1))
    return mixed, _combined(targets, partners, weights)


def _collage(images: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    if len(images) < 2:
        return images, targets
    partners = _partners(len(images), generator).to(images.device)
    places, axes = torch.rand(2, len(images), generator=generator).to(images.device)
    across = axes < 0.5
    row_kept, row_share = _before_the_cut(places, images.shape[2])
    column_kept, column_share = _before_the_cut(places, images.shape[3])
    kept = torch.where(across[:, None, None], row_kept[:, :, None], column_kept[:, None, :])
    weights = torch.where(across, row_share, column_share)
    return torch.where(kept[:, None], images, images[partners]), _combined(targets, partners, weights)


def _partners(n: int, generator: torch.Generator) -> Tensor:
    """For each of `n` images the index of another one, every other one alike in probability."""
    return (torch.arange(n) + torch.randint(1, n, (n,), generator=generator)) % n


def _before_the_cut(places: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Which pixels of a side lie before a cut, bool (n, side), and which share; `places` is 0 to below 1, (n,).

    A side of one pixel is not cut.
    """
    n_before = 1 + (places * (side - 1)).floor()
    return torch.arange(side, device=places.device) < n_before[:, None], n_before / side


def _combined(targets: Tensor, partners: Tensor, weights: Tensor) -> Tensor:
    return torch.lerp(targets[partners], targets, weights.to(targets.dtype)[:, None])

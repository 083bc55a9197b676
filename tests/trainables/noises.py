"""Images of noise, where neighbours differ the most, and the generators that draw them."""

import torch
from torch import Tensor


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0) -> Tensor:
    """float32 images of `shape` with many pixels that are exactly 0 or 1."""
    return (torch.rand(shape, generator=seeded(seed)) * 1.4 - 0.2).clamp(0, 1)

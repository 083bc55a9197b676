"""Comparing states bit for bit."""

from collections.abc import Mapping
from typing import Any

import torch


def identical(one: Any, other: Any) -> bool:
    """Whether two nested states are of the same types and hold the same bits (NaN equals NaN)."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        return torch.equal(_bits(one), _bits(other))
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(identical(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(identical, one, other))
    return bool(one == other) or (one != one and other != other)


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.cpu().reshape(-1).contiguous().view(torch.uint8)

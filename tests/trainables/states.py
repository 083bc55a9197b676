"""States: comparing them bit for bit, and writing and reading them as files."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import torch

from trainables.trainable import Trainable


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


def saved(trainable: Trainable) -> bytes:
    """The content of a file with the state of a trainable."""
    file = BytesIO()
    torch.save(trainable.state_dict(), file)
    return file.getvalue()


def loaded(file: bytes) -> dict[str, Any]:
    """The state in the content of a file, read with weights only."""
    state: Mapping[str, Any] = torch.load(BytesIO(file), map_location="cpu", weights_only=True)
    return dict(state)

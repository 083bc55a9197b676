"""A hash of the content of a tensor, such as the images of a part."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor

N_PER_BATCH = 1024
"""The number of images in memory that are hashed at a time."""


def fingerprint(tensor: Tensor, rows: Tensor | None = None) -> str:
    """Return a hash of the type, shape and values of a tensor of at least one dimension, as hexadecimal digits.

    `rows` selects some of its rows, or None for all. Only N_PER_BATCH rows are read at a time, because they may be on
    disk.
    """
    n = len(tensor) if rows is None else len(rows)
    digest = hashlib.blake2b(f"{tensor.dtype} {(n, *tensor.shape[1:])}".encode(), digest_size=16)
    for start in range(0, n, N_PER_BATCH):
        index = slice(start, start + N_PER_BATCH)
        batch = tensor[index if rows is None else rows[index]]
        content: Any = batch.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        digest.update(content)
    return digest.hexdigest()

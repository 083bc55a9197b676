"""Eigenvectors of covariances, computed once for all trials of a process that have the same features.

Ridge regression and LDA need them. They depend on the covariance alone, and not on the hyperparameters of a trial, but
for `class_weights`. So they are kept in memory, up to a limit, by a hash of the matrix.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import Tensor

LIMIT_BYTES = 2**27
"""The memory for eigenvectors in a process. Those of 4,096 features take all of it, and of more are not kept."""


class Eigenvectors(NamedTuple):
    """The eigenvectors of a symmetric matrix (width, width). They are shared, so do not modify them in place."""

    values: Tensor
    """float64 (width,): the eigenvalues, the smallest first."""
    vectors: Tensor
    """float64 (width, width): the eigenvectors as columns."""


class EigenvectorCache:
    """Keeps the eigenvectors that were used last."""

    def __init__(self, limit_bytes: int) -> None:
        """`limit_bytes` is the largest total size of the eigenvectors."""
        self._limit_bytes = limit_bytes
        self._found: OrderedDict[tuple[object, ...], Eigenvectors] = OrderedDict()

    def get(self, matrix: Tensor) -> Eigenvectors:
        """Return the eigenvectors of `matrix`, float64 (width, width), to the last digit as they are computed anew."""
        if matrix.nbytes > self._limit_bytes:
            return Eigenvectors(*torch.linalg.eigh(matrix))
        content = hashlib.blake2b(matrix.contiguous().cpu().numpy().data).digest()
        key = (content, matrix.shape, matrix.device, torch.get_num_threads())  # with them, the last digits may change
        found = self._found.pop(key, None)
        if found is None:
            found = Eigenvectors(*torch.linalg.eigh(matrix))
        self._found[key] = found
        while sum(each.vectors.nbytes for each in self._found.values()) > self._limit_bytes:
            self._found.popitem(last=False)
        return found


SHARED = EigenvectorCache(LIMIT_BYTES)
"""The eigenvectors of this process."""

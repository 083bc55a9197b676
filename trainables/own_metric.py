"""A metric that is a function of the user, on the logits and labels of a whole part."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LOCK = threading.Lock()
"""Held during each call, because fused heads are validated in several threads."""


@dataclass(frozen=True, eq=False)
class OwnMetric:
    """A function with the name of its metric."""

    name: str
    """The name of the metric without the part: `cost` is reported as `val_cost` and `test_cost`."""
    function: Callable[[Tensor, Tensor], float]
    """Takes logits, float32 (n, n_classes), and labels, int64 (n,), on the device, and returns a number."""

    def compute(self, logits: Tensor, labels: Tensor) -> float:
        """Return the metric of logits (n, n_classes) and labels (n,).

        The function gets copies, which it may change and compute gradients from.
        """
        with LOCK, torch.inference_mode(False), torch.no_grad():
            return self.function(logits.detach().clone(), labels.clone())

    def of_arrays(self, logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
        """Return the metric of logits (n, n_classes) and labels (n,) that are arrays."""
        return self.compute(torch.from_numpy(logits.astype(np.float32)), torch.from_numpy(labels))

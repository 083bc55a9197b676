"""The values of trials that float16 cannot hold, as after a divergence.

The logits and the losses of the images are kept as float16, which ends at 65504. So if a trial gave an image a higher
loss, the kept value is too low. The mean objective on record is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HIGHEST = float(np.finfo(np.float16).max)
"""The highest float16, 65504. Higher losses, and logits below its negative, are kept as it."""
HIGHEST_VALUE = 1e30
"""The highest value of an image: sums of it stay finite in float32."""


def with_recorded_mean(
    objective: str,
    values: NDArray[np.float64],
    logits: NDArray[np.float16],
    labels: NDArray[np.int64],
    recorded: float,
) -> NDArray[np.float64] | None:
    """Return values (n_images,) whose mean is the `recorded` objective of a trial, if its logits were cut off.

    `values` are those of its `logits` (n_images, n_classes). What is missing of a loss is shared by the images whose
    loss was cut off. What is missing of another objective is shared by all images. Returns None if no logit was cut
    off, or if that does not explain the difference: cutting off can only lower a loss.
    """
    is_cut = logits <= -HIGHEST
    if not is_cut.any():
        return None
    missing = recorded - float(values.mean())
    if objective != "val_loss":
        return values + missing
    is_lower = is_cut[np.arange(len(labels)), labels]
    if missing < 0 or not is_lower.any():
        return None
    added = missing * len(values) / np.count_nonzero(is_lower)
    return np.where(is_lower, np.minimum(values + added, HIGHEST_VALUE), values)


def is_cut_off(losses: NDArray[np.float16], mean: float, recorded: float) -> bool:
    """Whether the kept losses (n_images,) of an epoch have a lower mean than the recorded one because of the limit."""
    return mean < recorded and bool((losses >= HIGHEST).any())


def are_beyond(values: NDArray[np.floating]) -> bool:
    """Whether a value is too high for float16."""
    return float(values.max()) > HIGHEST


def as_type(values: NDArray[np.floating], kind: type[np.generic]) -> NDArray[np.generic]:
    """Return values as another type. What is too high for float16 becomes its highest value, never infinite."""
    return (np.minimum(values, HIGHEST) if kind is np.float16 else values).astype(kind)

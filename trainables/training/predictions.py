"""The logits of a validation, as they are kept for later analysis."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from trainables.training import metrics

MAX_VALUES = 8_000_000
"""The largest number of logits, images times classes, that are kept: 16 MB in half precision."""
LOWEST = float(torch.finfo(torch.float16).min)
"""The lowest float16, -65504."""
HIGHEST_BELOW_0 = -(2.0**-24)
"""The highest float16 below 0."""
MINUS_0, MINUS_INFINITY = -(2**15), 0xFC00
"""The bits of these float16 numbers, the first as a signed integer."""


def offered(logits: Tensor) -> Tensor | None:
    """Return the logits of a validation, or None if there are more than MAX_VALUES, so that their memory is freed."""
    return logits if logits.numel() <= MAX_VALUES else None


def check_shape(logits: object, n_images: int, n_classes: int) -> None:
    """Raise ValueError, which says what the logits of a validation are instead, unless they are a tensor or array
    (n_images, n_classes)."""
    if not isinstance(logits, Tensor | np.ndarray):
        raise ValueError(f"are {type(logits).__name__}, not a tensor")
    if logits.shape != (n_images, n_classes):
        raise ValueError(f"have shape {tuple(logits.shape)}, not ({n_images}, {n_classes})")


def as_float16(logits: Tensor | NDArray[np.generic]) -> NDArray[np.float16] | None:
    """Return logits (n_images, n_classes) as float16, with the highest of each image subtracted from all of its own.

    This changes no probability, and float16 is most precise near 0, where the logits of probable classes now are. Those
    that are too low for float16 become its lowest value, so all are finite. The highest logit of an image is 0, and
    only logits that are equal to it are 0 too. So the predicted class, the first with the highest logit, stays exactly
    the same. A logit changes by at most 2**-11 of its distance to the highest, and so a probability by about 0.05
    percent of its value for each unit of this distance.

    Returns None if a highest logit is not finite, as after a divergence.
    """
    with torch.no_grad():
        values = torch.as_tensor(logits).detach().float()
        highest = values.amax(dim=1, keepdim=True)
        differences = values - highest
        half = np.ascontiguousarray(differences.half().cpu().numpy())
        if not _are_in_range(half):
            if not bool(highest.isfinite().all()):
                return None
            differences.clamp_(LOWEST, HIGHEST_BELOW_0).masked_fill_(values == highest, 0.0)
            half = np.ascontiguousarray(differences.half().cpu().numpy())
    return half


def _are_in_range(half: NDArray[np.float16]) -> bool:
    """Whether no difference has become -0, infinite or NaN in half precision. Fast passes over the bits find it.

    Beside 0, the differences are negative. So as signed integers -0 is the lowest, and 0 the highest unless there is a
    positive NaN. As unsigned integers, -inf and negative NaN are the highest.
    """
    bits = half.view(np.int16)
    return bool(bits.min() != MINUS_0 and bits.max() == 0 and bits.view(np.uint16).max() < MINUS_INFINITY)


def results_of(logits: Tensor | NDArray[np.generic], labels: NDArray[np.int64]) -> metrics.SampleResults:
    """Return the loss and the predicted class of each image, of logits (n_images, n_classes) and labels (n_images,)."""
    with torch.no_grad():
        values = torch.as_tensor(logits).detach().float().cpu()
        losses = functional.cross_entropy(values, torch.from_numpy(labels), reduction="none")
    return metrics.SampleResults(losses, values.argmax(dim=1))

"""How a fit divides its time, and what fine-tuning it can afford."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

RANK_SHARE = 0.35
"""The largest share of the time that the ranking may be expected to take."""
END_SHARE = 0.08
"""The share of the whole time that is kept for the test, the model and the report."""
BACKWARD_COST = 3.0
"""The cost of a training step, as a multiple of a forward pass."""
MIN_EPOCHS, MAX_EPOCHS = 4, 30
"""The fewest and the most epochs of a fine-tuned trial."""
FULL_TRIALS = 6
"""The number of trainings of all epochs that the time for fine-tuning covers. The last trains the best trial again."""
SMALLEST_SIZE = 96
"""The smallest side of the images in pixels, for a model that takes larger ones."""


@dataclass(frozen=True)
class FineTuning:
    """The images and epochs of a search of fine-tuned models."""

    image_size: int
    """The side of the images, in pixels."""
    epochs: int
    """The epochs of a trial that is trained to its end."""


def fine_tuning(seconds: float, seconds_per_image: float, n_images: int, own_size: int) -> FineTuning | None:
    """Return the largest images and the number of epochs for which `FULL_TRIALS` trainings fit into `seconds`.

    `seconds_per_image` is the time of a forward pass of one image of `own_size` pixels, with all cores or the whole
    GPU. `n_images` is the number of training images. The cost of an image is taken to grow with its pixels.

    If so many trainings of `MIN_EPOCHS` fit with no size, the smallest images are chosen if at least two trainings fit.
    Returns None if not even these fit.
    """
    affordable = [(size, _epochs(seconds, seconds_per_image, n_images, size / own_size)) for size in _sizes(own_size)]
    for size, n_epochs in affordable:
        if n_epochs >= FULL_TRIALS * MIN_EPOCHS:
            return FineTuning(size, min(MAX_EPOCHS, int(n_epochs / FULL_TRIALS)))
    size, n_epochs = affordable[-1]
    return FineTuning(size, MIN_EPOCHS) if n_epochs >= 2 * MIN_EPOCHS else None


def without_retraining(seconds: float) -> float:
    """Return how long a search of fine-tuned models may take, so that the best can be trained again afterwards."""
    return seconds * (FULL_TRIALS - 1) / FULL_TRIALS


def _epochs(seconds: float, seconds_per_image: float, n_images: int, scale: float) -> float:
    """The number of epochs that fit into `seconds`, with sides of images `scale` times those of the forward pass."""
    return seconds / (BACKWARD_COST * seconds_per_image * scale**2 * n_images)


def _sizes(own_size: int) -> Sequence[int]:
    """The sides of images to choose from, largest first: multiples of 32 pixels between the smallest and the own."""
    if own_size <= SMALLEST_SIZE:
        return (own_size,)
    return (own_size, *(size for size in range(own_size // 32 * 32, SMALLEST_SIZE - 1, -32) if size < own_size))

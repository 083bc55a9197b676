"""How a fit divides its time, and what fine-tuning it can afford."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from hpo.quantities import with_plural

RANK_SHARE = 0.35
"""The largest share of the time that the ranking may be expected to take."""
END_SHARE = 0.08
"""The share of the whole time that is kept for the test, the model and the report."""
PLANNED_SHARE = 0.9
"""The share of the time of fine-tuning that is planned. The rest is for what the measured times do not show."""
EPOCH_COST = 3.5
"""The cost of an epoch for a training image, in forward passes of what trains: the step, augmentation, validation."""
MIN_EPOCHS, GOOD_EPOCHS, MAX_EPOCHS = 4, 8, 30
"""The epochs of a trial: the fewest, those of a good training, and the most."""
MANY_TRIALS = 8
"""If the time covers so many trainings of all epochs, bad trials may be stopped early."""
SHORTEST = 60.0
"""A fit of fewer seconds is likely to take longer than it was given."""
SMALLEST_SIZE = 96
"""The smallest side of the images in pixels, for a model that takes larger ones."""


@dataclass(frozen=True)
class FineTuning:
    """What a search of fine-tuned models trains, and for how long."""

    image_size: int
    """The side of the images, in pixels."""
    n_stages: int | None
    """How many of the last stages with weights train. None for all."""
    epochs: int
    """The epochs of a trial that is trained to its end."""
    trials: int | None
    """How many trials are trained, all to their end. None for as many as there is time for; bad ones stop early."""


def fine_tuning(
    seconds: float, seconds_of_last_stages: Sequence[float], n_images: int, own_size: int, n_validation: int = 0
) -> FineTuning | None:
    """Return the deepest fine-tuning of which one training of `GOOD_EPOCHS` and its refit fit into `seconds`.

    The refit is the training of the best trial on the training and the validation images, which it is tested with.
    `seconds_of_last_stages` is the time of a forward pass of the last 1, 2, ... stages with weights for an image of
    `own_size` pixels, with all cores or the whole GPU. `n_images` is the number of training images, `n_validation` that
    of validation images. A tenth of the time is left as a margin.

    A good training of few stages is better than a short one of all, and images of the model's own size are better than
    smaller ones. So the last stage may train for `MIN_EPOCHS`, and images become smaller only if not even that fits.
    The cost of an image is taken to grow with its pixels. What is frozen is computed once, for all images. Returns None
    if nothing fits.
    """
    n_all, refit = len(seconds_of_last_stages), (n_images + n_validation) / n_images
    for size in _sizes(own_size):
        for n_stages in range(n_all, 0, -1):
            trained, share = seconds_of_last_stages[n_stages - 1], (size / own_size) ** 2
            frozen = (seconds_of_last_stages[-1] - trained) * share * (n_images + n_validation)
            n_epochs = (PLANNED_SHARE * seconds - frozen) / (EPOCH_COST * trained * share * n_images)
            if n_epochs >= (1 + refit) * (GOOD_EPOCHS if n_stages > 1 else MIN_EPOCHS):
                return _plan(size, n_stages if n_stages < n_all else None, n_epochs, refit)
    return None


def of_search(plan: FineTuning, seconds: float, n_images: int, n_validation: int = 0) -> float:
    """Return how much of `seconds` the search may take. The rest is for the refit of its best trial.

    A search of a few trials ends after the last of them. It may take all the time, as trials that are not trained to
    their end are of little use.
    """
    refit = (n_images + n_validation) / n_images
    return seconds if plan.trials is not None else seconds * MANY_TRIALS / (MANY_TRIALS + refit)


def slots(plan: FineTuning, n_cores: int) -> int | None:
    """Return in how many slots on the CPU the trials train, so that no core is idle at the end. None for the default.

    The slots divide the cores. With few trials, there are as many slots as can all be used to the end.
    """
    if plan.trials is None:
        return None
    return next(n for n in range(min(n_cores, plan.trials), 0, -1) if plan.trials % n == 0)


def of_refit(seconds_of_epochs: Sequence[float], n_epochs: int, n_images: int, n_validation: int) -> float:
    """Return the seconds that a refit of `n_epochs` is expected to take.

    `seconds_of_epochs` are those of the trial on the training images. Their median counts, as the first may have
    computed what is frozen.
    """
    return median(seconds_of_epochs) * n_epochs * (n_images + n_validation) / n_images


def in_words(plan: FineTuning) -> str:
    """Say what is trained."""
    part = "all layers" if plan.n_stages is None else f"the last {with_plural(plan.n_stages, 'stage')}"
    trials = "as many trials as there is time for" if plan.trials is None else with_plural(plan.trials, "trial")
    return f"{part}, images of {plan.image_size} pixels, {trials} of {with_plural(plan.epochs, 'epoch')}"


def _plan(size: int, n_stages: int | None, n_epochs: float, refit: float) -> FineTuning:
    """Divide `n_epochs` among trials and the refit of the best, which costs as much as `refit` trials.

    With more time, trials first become longer, then more, then longer again.
    """
    if n_epochs < (MANY_TRIALS + refit) * 2 * GOOD_EPOCHS:
        epochs = min(2 * GOOD_EPOCHS, int(n_epochs / (1 + refit)))
        return FineTuning(size, n_stages, epochs, max(1, int(n_epochs / epochs - refit)))
    return FineTuning(size, n_stages, min(MAX_EPOCHS, int(n_epochs / (MANY_TRIALS + refit))), None)


def _sizes(own_size: int) -> Sequence[int]:
    """The sides of images to choose from, largest first: multiples of 32 pixels between the smallest and the own."""
    if own_size <= SMALLEST_SIZE:
        return (own_size,)
    return (own_size, *(size for size in range(own_size // 32 * 32, SMALLEST_SIZE - 1, -32) if size < own_size))

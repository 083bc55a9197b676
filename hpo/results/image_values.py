"""How the objective of a trial becomes one value for each validation image, from the logits that the search kept.

An objective of ours has a formula (`hpo/statistics/per_image.py`). A function of the user is computed without some of
the images in turn (`hpo/statistics/left_out.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.errors import HpoError
from hpo.record import StudyFolder
from hpo.record.predictions import ValidationPredictions
from hpo.space.objectives import own_function
from hpo.statistics import MAX_UNITS, at_most, left_out_values, per_image
from hpo.training.own_objective import objective_digest, on_arrays

MAX_TRIALS = 500
"""The largest number of trials that are compared: the best ones."""
MIN_TRIALS = 20
"""The number of trials that are compared at least. If their logits are too many for that, none are."""
MAX_LOGITS = {"val_auroc_error": 2**22}
"""The largest number of logits for more than MIN_TRIALS trials, by the objective. The AUROC sorts them: 0.2 us each."""
MAX_LOGITS_OTHERS = 2**25
MAX_CALLS = 10_000
"""The largest number of computations of a function of the user for more than MIN_TRIALS trials.

It does not depend on how long they take: else a study would give other numbers each time.
"""
MOST_FACTOR = 4
"""The largest number of logits for MIN_TRIALS trials, as a multiple: about two seconds, and 256 MiB."""


class CannotCompute(Exception):
    """The values of the images cannot be computed. The text says why, in a few words."""


@dataclass(frozen=True)
class ImageValues:
    """Computes the values of the validation images of a study for each of its trials."""

    of_logits: Callable[[NDArray[np.float16]], NDArray[np.float64]]
    """Takes the logits of a trial (n_images, n_classes), and returns the values (n_images,).

    Their mean is the objective, nearly. Raises CannotCompute if a function of the user fails on some of the images.
    """
    groups: NDArray[np.int64] | None
    """(n_images,): the groups of images that are independent of each other. None if the images are."""
    n_trials: Callable[[int], int]
    """Takes the number of trials, and returns how many of them are compared. 0 if it would take too long."""
    differs: str
    """What is said of the objective if the values of no trial have the recorded mean."""


def image_values(study: StudyFolder, kept: ValidationPredictions) -> ImageValues:
    """Return the computation for a study. `kept` are the predictions of one of its trials.

    Raises CannotCompute if the objective is a function of the user that is not the one that the study was begun with,
    or cannot be imported.
    """
    return _of_ours(study, kept) if own_function(study.space.objective) is None else _of_user(study, kept)


def n_affordable(objective: str, n_logits: int, n_ranked: int) -> int:
    """Return how many trials are compared, each with so many logits. 0 if even MIN_TRIALS would take too long."""
    return _n_of_cost(n_logits, MAX_LOGITS.get(objective, MAX_LOGITS_OTHERS), n_ranked)


def _n_of_cost(cost: int, limit: int, n_ranked: int) -> int:
    """The number of trials that are compared, each of this cost. `limit` is that of the cost of all together."""
    if cost * min(MIN_TRIALS, n_ranked) > MOST_FACTOR * limit:
        return 0
    return min(max(MIN_TRIALS, limit // cost), MAX_TRIALS, n_ranked)


def _of_ours(study: StudyFolder, kept: ValidationPredictions) -> ImageValues:
    """The computation for an objective of ours."""
    objective, n_logits = study.space.objective, next(iter(kept.logits.values())).size

    def of_logits(logits: NDArray[np.float16]) -> NDArray[np.float64]:
        values = per_image(objective, logits, kept.labels, kept.folds)
        assert values is not None, "the objective is one of ours"
        return values

    differs = "is weighted or smoothed, and is not the plain one of the predictions"
    return ImageValues(of_logits, kept.groups, lambda n_ranked: n_affordable(objective, n_logits, n_ranked), differs)


def _of_user(study: StudyFolder, kept: ValidationPredictions) -> ImageValues:
    """The computation for a function of the user. It is that of groups of images, if there are many images."""
    name, labels = study.space.objective, kept.labels
    groups = at_most(MAX_UNITS, kept.groups, len(labels), kept.folds)
    try:
        study.check_objective(objective_digest(study.space))
        function = on_arrays(study.space)
    except HpoError as error:
        raise CannotCompute(f"the function {name} cannot be computed again: {error}") from error

    def of_logits(logits: NDArray[np.float16]) -> NDArray[np.float64]:
        try:
            values = left_out_values(lambda rows: function(logits[rows], labels[rows]), groups, kept.folds)
        except HpoError as error:
            raise CannotCompute(f"the function {name} fails on a part of the images: {error}") from error
        if not np.isfinite(values).all():
            raise CannotCompute(f"the function {name} is not finite on a part of the images")
        return values

    differs = "has another value on the kept logits, which have 0 as the highest of each image"
    n_calls = int(groups.max()) + 1
    return ImageValues(of_logits, groups, lambda n_ranked: _n_of_cost(n_calls, MAX_CALLS, n_ranked), differs)

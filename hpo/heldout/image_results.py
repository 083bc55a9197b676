"""The results of each tested model for each held-out image, in `test_images.npz`: intervals are computed from them."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo.errors import MachineError, StudyError, UserError
from hpo.heldout.confusion import ModelKey
from hpo.record import TEST_IMAGES, StudyFolder
from hpo.space import SearchSpace
from hpo.space.objectives import ERRORS, metric_of, own_function
from hpo.statistics import Units, left_out_values, per_image
from hpo.training.own_objective import on_arrays

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

_KEY = re.compile(r"([0-9]+) ([0-9]+) (.+)")
"""The name of an array in the file: the trial, the seed and the metric."""
ImageResults = Mapping[str, NDArray[np.float32]]
"""By the name of a metric, as `accuracy`: one value for each held-out image, (n_images,).

The mean of the values is 1 less the metric, or the metric itself for `loss` and for a function of the user. See
`hpo.statistics.per_image` and `left_out_values`. If the images have groups, GROUPS has the number of the group of each.
"""
GROUPS = "groups of images"
"""It is no name of a metric: these have no spaces."""
MAX_CALLS = 5_000
"""The largest number of computations of a function of the user for a model."""
TOLERANCE = 0.02
"""The largest difference between a metric and that of the probabilities of a model, as a share of it."""
LEAST_TOLERANCE = 1e-4
"""The tolerance, at least."""


def of_predictions(
    predictions: Mapping[str, Any], metrics: Mapping[str, float], space: SearchSpace, groups: Tensor | None = None
) -> ImageResults:
    """Return the results of a model: for the accuracy, and for the metric of the search.

    `predictions` holds the tensors `probabilities` (n_images, n_classes) and `labels` (n_images,), or nothing.
    `groups` are those of the images, int64 (n_images,). The mean of the values is made equal to the metric in
    `metrics`: with folds, that is the mean over several models, and the probabilities are their mean. A function of the
    user has no results if it gives another value, if it fails on a part of the images, or if these are too many.
    """
    if not predictions:
        return {}
    probabilities = predictions["probabilities"].double().numpy()
    labels = predictions["labels"].long().numpy()
    logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    results = {} if groups is None else {GROUPS: groups.numpy().astype(np.float32)}
    for name in dict.fromkeys(("val_error", space.objective)):
        values = per_image(name, logits, labels, np.zeros_like(labels))
        if own_function(name) is not None:
            values = _of_user(space, logits, labels, None if groups is None else groups.numpy())
        metric = ERRORS.get(name, metric_of(name)).removeprefix("val_")
        if values is not None and metric in metrics:
            recorded = 1 - metrics[metric] if name in ERRORS else metrics[metric]
            if own_function(name) is not None and not _agrees(values, recorded):
                continue
            results[metric] = (values + (recorded - values.mean())).astype(np.float32)
    return results


def _of_user(
    space: SearchSpace, logits: NDArray[np.float64], labels: NDArray[np.int64], groups: NDArray[np.int64] | None
) -> NDArray[np.float64] | None:
    """The values of the images by a function of the user, (n_images,). None if they cannot be computed."""
    if Units.of(groups, len(labels)).n > MAX_CALLS:
        return None
    function = on_arrays(space)
    known = np.arange(len(labels)) if groups is None else groups
    try:
        return left_out_values(lambda rows: function(logits[rows], labels[rows]), known, np.zeros_like(labels))
    except UserError:  # such as one that needs images of all classes
        return None


def _agrees(values: NDArray[np.float64], recorded: float) -> bool:
    """Whether the mean of values is the recorded metric, up to the rounding of probabilities."""
    return bool(abs(values.mean() - recorded) <= max(TOLERANCE * abs(recorded), LEAST_TOLERANCE))


def read(study: StudyFolder) -> dict[ModelKey, ImageResults]:
    """Read the results of the tested models. There are none without a test. Raises StudyError for a damaged file."""
    path = study.folder / TEST_IMAGES
    found: dict[ModelKey, dict[str, NDArray[np.float32]]] = {}
    try:
        with np.load(path, allow_pickle=False) as file:
            for key in file:
                named = _KEY.fullmatch(key)
                if named is None:  # another version may store more
                    continue
                trial, seed, metric = named.groups()
                values = file[key]
                if values.dtype != np.float32 or values.ndim != 1:
                    raise ValueError(f"{key!r} is no list of numbers")
                found.setdefault((int(trial), int(seed)), {})[metric] = values
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise StudyError(
            f"{path}: is damaged, or was written by another version: {error}; if it is removed, "
            "the intervals of the tested trials are lost"
        ) from None
    return dict(found)


def write(study: StudyFolder, results: Mapping[ModelKey, ImageResults]) -> None:
    """Write the results of the tested models. Without any, the file is removed. Raises MachineError if that fails."""
    from trainables.store import atomic

    path = study.folder / TEST_IMAGES
    arrays = {
        f"{trial} {seed} {metric}": values
        for (trial, seed), of_model in sorted(results.items())
        for metric, values in of_model.items()
    }
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]  # its keyword comes before

    def save(temporary: Path) -> None:
        temporary.write_bytes(content.getvalue())

    try:
        if arrays:
            atomic.write(path, save)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise MachineError(f"{path}: cannot be written: {error}") from None

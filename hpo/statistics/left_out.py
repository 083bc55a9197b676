"""One value for each image by a function that is only known for a whole set of images, such as a metric of the user.

Groups of images are left out in turn, and the change says what they add (the pseudo-values of the jackknife:
Quenouille, Biometrika 43, 1956; Tukey, Annals of Mathematical Statistics 29, 1958). If the function is a mean over
images, these are the means of the groups. For functions that jump, such as a median or a maximum, they are no good
approximation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hpo.statistics.per_image import over_folds
from hpo.statistics.units import Doubles, Integers, Units

MAX_UNITS = 200
"""The largest number of groups that are left out in turn, so that the function is not computed too often."""

ROUNDING = 1e-3
"""The largest error of a value by rounding, as a share of the largest value: the logits are float32."""


def at_most(n_units: int, groups: Integers | None, n_images: int, folds: Integers) -> Integers:
    """Return the groups of images, (n_images,), joined at random until there are at most `n_units` of them.

    `groups` are (n_images,), or None if each image is one of its own. Only groups of the same of the `folds`
    (n_images,) are joined, so there may be a few more. The result is the same each time.
    """
    _, own = np.unique(np.arange(n_images) if groups is None else groups, return_inverse=True)
    total = int(own.max()) + 1
    if total <= n_units:
        return own.astype(np.int64)
    order = np.random.default_rng(0).permutation(total)
    pairs = np.stack([folds, order[own] % max(n_units // len(np.unique(folds)), 2)])
    _, joined = np.unique(pairs, axis=1, return_inverse=True)
    return joined.reshape(-1).astype(np.int64)


def are_signed(values: NDArray[np.floating]) -> bool:
    """Whether some values are below 0, by more than the rounding of `left_out_values`."""
    return bool(values.min() < -ROUNDING * np.abs(values).max())


def left_out_values(function: Callable[[NDArray[np.int64]], float], groups: Integers, folds: Integers) -> Doubles:
    """Return the values of the images, (n_images,), whose mean is that of the function over the folds.

    `function` gets the indices of some images. `groups` and `folds` are (n_images,). A group has one value, which all
    its images get, and lies in one fold.
    """
    indices = np.arange(len(groups))
    return over_folds(lambda part: _of_fold(function, indices[part], groups[part]), folds)


def _of_fold(function: Callable[[NDArray[np.int64]], float], indices: Integers, groups: Integers) -> Doubles:
    """The values of the images with these indices, (n,), in one fold."""
    units, n, whole = Units.of(groups, len(indices)), len(indices), function(indices)
    if units.n < 2:
        return np.full(n, whole)
    numbers = np.arange(n) if units.of_images is None else units.of_images
    rest = np.array([function(indices[numbers != number]) for number in range(units.n)])
    values = ((n * whole - (n - units.sizes) * rest) / units.sizes)[numbers]
    result: Doubles = values + (whole - values.mean())  # the means are the same only if it is a mean over images
    return result

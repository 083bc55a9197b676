"""The independent observations behind a mean over images: the images, or groups of them, such as those of one patient.

Images of one group are alike, so they say less about the mean than as many images of different groups. The variance of
the mean is therefore found by leaving out one group at a time (the jackknife of clusters, which is the estimate CR3 of
Bell and McCaffrey, Survey Methodology 28, 2002). If each image is a group of its own, it is the variance over the
images divided by their number.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]
FEW_GROUPS = 5
"""If errors, or images without an error, are in fewer groups than this, their spread over groups is hardly known."""
ROUNDING = 1e-6
"""The largest error of the sum of a group by rounding, as a share of it: the values are float32."""


class Units(NamedTuple):
    """The groups of some images. Without groups, each image is a unit of its own."""

    sizes: Doubles
    """(n_units,): the number of images of each."""
    of_images: Integers | None
    """(n_images,): the unit of each image, from 0. None if each image is a unit of its own."""
    weights: Doubles
    """(n_units,): the sum of the weights that the images of each have in the mean. Without folds, the sizes."""

    @classmethod
    def of(cls, groups: Integers | None, n_images: int, folds: Integers | None = None) -> Units:
        """Return the units of images with these `groups`, (n_images,): equal numbers stand for one group. None: none.

        `folds` (n_images,) are those of the images if the values are weighted by `fold_weights`. They do not count
        without groups. Raises ValueError if there is not one group for each image.
        """
        ones = np.ones(n_images)
        if groups is None:
            return cls(ones, None, ones)
        if len(groups) != n_images:
            raise ValueError(f"{n_images} images need a group each, but there are {len(groups)} groups")
        _, of_images, counts = np.unique(groups, return_inverse=True, return_counts=True)
        if len(counts) == n_images:
            return cls(ones, None, ones)
        sizes = counts.astype(np.float64)
        weights = sizes if folds is None else np.bincount(of_images, fold_weights(folds)).astype(np.float64)
        return cls(sizes, of_images.astype(np.int64), weights)

    @property
    def n(self) -> int:
        """The number of units."""
        return len(self.sizes)

    def sums(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the sum of the values of each unit, (..., n_units). `values` are (..., n_images)."""
        if self.of_images is None:
            return values
        order = np.argsort(self.of_images, kind="stable")
        starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int64)
        result: NDArray[np.floating] = np.add.reduceat(values[..., order], starts, axis=-1)
        return result

    def least_error_of_share(self, values: Doubles, share: float) -> float:
        """Return the smallest standard error that is taken for a share, the mean of `values` (n_images,).

        It is 0 without groups. By chance, groups may seem more alike than independent images are, and the error too
        small. So it is at least that of independent images (Korn and Graubard, Survey Methodology 24, 1998). If errors
        are in few groups, it is at least that of a single image of each group.
        """
        if self.of_images is None:
            return 0.0
        totals = self.sums(values)
        n_groups = min(int((totals > 0).sum()), int((totals < (1 - ROUNDING) * self.weights).sum()))
        n = self.n if n_groups < FEW_GROUPS else float(self.sizes.sum())
        return math.sqrt(max(share * (1 - share), 0.0) / n)

    def spread(self, of_units: Integers) -> Integers:
        """Return what each image gets of its unit, (..., n_images). `of_units` are (..., n_units)."""
        return of_units if self.of_images is None else of_units[..., self.of_images]

    def variance_of_mean(self, values: NDArray[np.floating], mean: float | Doubles | None = None) -> Doubles:
        """Return the variance of the mean of `values` (..., n_images) over the images, (...). Infinite for one unit.

        `mean` is the mean that they deviate from, by default their own, (...).
        """
        if self.n < 2:
            return np.full(values.shape[:-1], np.inf)
        totals = self.sums(values)
        n_images = self.sizes.sum()
        centre = np.asarray(totals.sum(axis=-1, dtype=np.float64) / n_images if mean is None else mean)
        shifts = (totals - self.weights * centre[..., None]) / (n_images - self.weights)
        result: Doubles = (self.n - 1) / self.n * np.square(shifts).sum(axis=-1)
        return result


def fold_weights(folds: Integers) -> Doubles:
    """Return the weight of each image in the mean over the folds of the means of each, (n_images,). Its mean is 1."""
    _, of_images, counts = np.unique(folds, return_inverse=True, return_counts=True)
    result: Doubles = (len(folds) / (len(counts) * counts))[of_images]
    return result


def joined_groups(first: Integers | None, second: Integers | None) -> Integers | None:
    """Return the smallest groups of images that cut no group of either, (n_images,). None if neither has groups.

    Images of one group of the first, and images of one group of the second, are in one group, and so are those that
    are linked by several such steps.
    """
    if first is None or second is None:
        return second if first is None else first
    _, of_first = np.unique(first, return_inverse=True)
    _, of_second = np.unique(second, return_inverse=True)
    of_second = of_second + len(of_first)
    n_nodes = 2 * len(of_first)
    links = coo_array((np.ones(len(of_first)), (of_first, of_second)), shape=(n_nodes, n_nodes))
    _, of_nodes = connected_components(links, directed=False)
    result: Integers = of_nodes[of_first].astype(np.int64)
    return result

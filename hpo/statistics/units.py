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

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]
FEW_GROUPS = 5
"""If errors, or images without an error, are in fewer groups than this, their spread over groups is hardly known."""


class Units(NamedTuple):
    """The groups of some images. Without groups, each image is a unit of its own."""

    sizes: Doubles
    """(n_units,): the number of images of each."""
    of_images: Integers | None
    """(n_images,): the unit of each image, from 0. None if each image is a unit of its own."""

    @classmethod
    def of(cls, groups: Integers | None, n_images: int) -> Units:
        """Return the units of images with these `groups`, (n_images,): equal numbers stand for one group. None: none.

        Raises ValueError if there is not one group for each image.
        """
        if groups is None:
            return cls(np.ones(n_images), None)
        if len(groups) != n_images:
            raise ValueError(f"{n_images} images need a group each, but there are {len(groups)} groups")
        _, of_images, counts = np.unique(groups, return_inverse=True, return_counts=True)
        if len(counts) == n_images:
            return cls(np.ones(n_images), None)
        return cls(counts.astype(np.float64), of_images.astype(np.int64))

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
        n_groups = min(int((totals > 0).sum()), int((totals < self.sizes).sum()))
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
        shifts = (totals - self.sizes * centre[..., None]) / (n_images - self.sizes)
        result: Doubles = (self.n - 1) / self.n * np.square(shifts).sum(axis=-1)
        return result

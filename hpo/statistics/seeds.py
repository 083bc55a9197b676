"""The interval of a result over several trainings on the same test images: the spread over seeds and over images."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hpo.statistics.intervals import Interval, interval


def both_spreads(values: NDArray[np.float64], *, is_share: bool) -> Interval:
    """Return the 95 % interval of the mean over other seeds and other images. `values` are (n_seeds, n_images).

    Seeds and images are crossed random effects: each seed is judged on each image. The variance of the mean is that of
    the means of the seeds, plus that of the means of the images, less what both of them count (Searle, Casella and
    McCulloch, "Variance Components", 1992). Its degrees of freedom are Satterthwaite's (Biometrics Bulletin 2, 1946).
    With one seed, the interval holds the spread over images only.
    """
    n_seeds, n_images = values.shape
    mean = float(values.mean())
    if n_images < 2:
        return interval(mean, math.inf, n_images, is_share=is_share)
    by_seed, by_image = values.mean(axis=1), values.mean(axis=0)
    of_images = float(by_image.var(ddof=1)) / n_images
    if n_seeds < 2:
        return interval(mean, math.sqrt(of_images), n_images, is_share=is_share)
    of_seeds = float(by_seed.var(ddof=1)) / n_seeds
    rest = values - by_seed[:, None] - by_image + mean
    twice = float((rest**2).sum()) / ((n_seeds - 1) * (n_images - 1)) / (n_seeds * n_images)
    variance = max(of_seeds + of_images - twice, of_images)
    between = max(of_seeds - twice, 0.0)  # of the seeds alone
    freedom = n_images - 1.0
    if between > 0:
        freedom = variance**2 / (between**2 / (n_seeds - 1) + of_images**2 / (n_images - 1))
    return interval(mean, math.sqrt(variance), n_images, is_share=is_share, freedom=max(freedom, 1.0))

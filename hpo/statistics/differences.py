"""The difference of two trials that were each chosen for being the best of a study, with an interval.

The recorded value of the best of many trials is too good, by more than that of the best of few. So each image is scored
by the trial that the study chooses without it (`selection`), in both studies, and these scores are subtracted.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hpo.statistics.intervals import LEVEL, Interval
from hpo.statistics.selection import TrialValues, choose_without, random_parts, scores_of, variance_of_mean
from hpo.statistics.units import Units, joined_groups


class DifferenceOfChosen(NamedTuple):
    """The difference of the means of two chosen trials on new images, the second less the first."""

    estimate: float
    interval: Interval


def difference_of_chosen(
    first: TrialValues,
    second: TrialValues,
    rng: np.random.Generator,
    *,
    is_share: bool,
    is_paired: bool,
    level: float = LEVEL,
) -> DifferenceOfChosen:
    """Return how much the best trial of `second` differs from that of `first` on new images.

    `is_paired` says that both have values for the same images in the same order. `is_share` is that of
    `intervals.interval`, `level` the share of cases in which the interval holds the true difference. A single image
    or group says nothing: then the estimate is 0, and the interval infinite. If paired images have other groups in each
    study, the `joined_groups` of both count.
    """
    if is_paired:
        groups = joined_groups(first.groups, second.groups)
        folds = second.folds if first.folds is None else first.folds
        first, second = (each._replace(groups=groups, folds=folds) for each in (first, second))
    units = [first.units, second.units]
    n_units = min(each.n for each in units)
    if n_units < 2:
        return DifferenceOfChosen(0.0, Interval(-math.inf, math.inf))
    parts = random_parts(units[0], rng)
    scores = [_scores(first, parts), _scores(second, parts if is_paired else random_parts(units[1], rng))]
    estimate = float(scores[1].mean() - scores[0].mean())
    if is_paired:
        variance = variance_of_mean(scores[1] - scores[0], units[0]) + _of_added(units[0], 1.0, is_share=is_share)
    else:
        both = zip(scores, units, strict=True)
        variance = sum(variance_of_mean(each, of) + _of_added(of, 0.5, is_share=is_share) for each, of in both)
    half = float(stats.t.ppf((1 + level) / 2, n_units - 1)) * math.sqrt(variance)
    return DifferenceOfChosen(estimate, Interval(estimate - half, estimate + half))


def _scores(study: TrialValues, parts: NDArray[np.int64]) -> NDArray[np.float64]:
    """The value of each image by the trial that is chosen without it, for each cut, (n_repeats, n_images)."""
    return scores_of(choose_without(parts, study), study.values)


def _of_added(units: Units, square: float, *, is_share: bool) -> float:
    """The variance that two added images give to a mean, whose squares have the sum `square`. 0 for a loss.

    If few images differ, or are misclassified, they say little about how many would be on others, and a variance of 0
    may be chance. So a share gets two images more: for a difference one half of an image that is better in the first,
    and one half that is better in the second (Agresti and Min, Statistics in Medicine 24, 2005); for a single share one
    of 0 and one of 1 (Agresti and Caffo, The American Statistician 54, 2000).
    """
    return square / float(units.sizes.sum()) ** 2 if is_share else 0.0

"""The estimate of a trial that was chosen because it was the best of many, with the luck of being chosen taken off.

The choice is repeated on four fifths of the images, and what it chooses is scored on the last fifth. So no image judges
a trial that it helped to choose. This is the nested cross-validation of Varma and Simon (BMC Bioinformatics 7, 2006),
without any training: only the choice is repeated. It needs the values of all trials for all images.

A search chooses two things by the validation images: the best epoch of each trial, and the best trial. Both are one
choice among all epochs of all trials. So if the values of all epochs are known, each epoch is a candidate of its own.

Why four fifths. Bootstrap bias correction (Tsamardinos, Greasidou and Borboudakis, Machine Learning 107, 2018) repeats
the choice on a bootstrap sample, in which the luck of the choice is as large as on half of the images. Then clearly
better trials are missed more often. In `benchmarks/honesty.py` both take off nearly all of the optimism.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpo.statistics.intervals import Interval, interval
from hpo.statistics.units import Units

N_PARTS = 5
"""The number of parts of the images. Each in turn scores what the others choose."""
N_REPEATS = 40
"""The number of random cuts into parts. The estimate is the mean over them."""
CHOICE_WEIGHT = 2.0
"""How much the variance that comes from choosing other trials adds to that of the images.

It was set with `benchmarks/honesty.py`, so that the intervals of simulated studies hold the truth in 95 % of cases.
"""
TIE_WEIGHT = 1e-6
"""How much the values that break ties count beside the values: less than one image does."""
ROWS_AT_A_TIME = 256
"""The number of rows that are converted to float32 together."""


class TrialValues(NamedTuple):
    """What a best trial is chosen from: the trials of a study, or all epochs of its trials."""

    values: NDArray[np.generic]
    """(n_rows, n_images): one value for each row and image, in an order of the rows that does not depend on them."""
    tie_breakers: NDArray[np.generic] | None
    """(n_rows, n_images): they decide between equal means, the lowest first. None: the first row is chosen."""
    trials: NDArray[np.int64] | None = None
    """(n_rows,): the trial of each row, if a row is an epoch. None: each row is a trial of its own."""
    groups: NDArray[np.int64] | None = None
    """(n_images,): the group of each image. None: the images are independent."""
    folds: NDArray[np.int64] | None = None
    """(n_images,): the folds that the values of grouped images are weighted by. None: they are not weighted."""

    @property
    def units(self) -> Units:
        """The independent observations: the groups, or the images."""
        return Units.of(self.groups, self.values.shape[1], self.folds)


class Chosen(NamedTuple):
    """The estimate of a trial that was chosen for being the best."""

    estimate: float
    """Its mean on new images."""
    interval: Interval
    """The 95 % interval of the estimate. It holds the trial's mean on the images that it was chosen by, too."""
    share_of_choices: float
    """The share of the choices on four fifths of the images that chose this trial."""


def chosen(
    study: TrialValues,
    best: int,
    rng: np.random.Generator,
    *,
    is_share: bool,
    is_signed: bool = False,
    parts: NDArray[np.int64] | None = None,
) -> Chosen:
    """Return the estimate of the trial or epoch in row `best`, the one with the lowest mean.

    `is_share` and `is_signed` are those of `intervals.interval`. `parts` are those of `random_parts`, if they are drawn
    already.
    """
    values, units = study.values, study.units
    of_best = float(values[best].mean(dtype=np.float64))
    if units.n < 2:
        return Chosen(of_best, interval(0.5, math.inf, units.n, is_share=is_share, is_signed=is_signed), 1.0)
    choices = choose_without(random_parts(units, rng) if parts is None else parts, study)
    scores = scores_of(choices, values)
    estimate = float(scores.mean())
    error = math.sqrt(variance_of_mean(scores, units))
    if is_share:
        error = max(error, units.least_error_of_share(scores.mean(axis=0, dtype=np.float64), estimate))
    limits = interval(estimate, error, units.n, is_share=is_share, is_signed=is_signed)
    trials = np.arange(len(values)) if study.trials is None else study.trials
    return Chosen(estimate, limits.widened(of_best), float((trials[choices] == trials[best]).mean()))


def intervals_of_trials(
    study: TrialValues, rng: np.random.Generator, *, is_share: bool, is_signed: bool = False
) -> dict[int, Interval]:
    """Return the 95 % interval of each trial of which several epochs have a row, by its number.

    It is that of a trial named in advance, whose best epoch was chosen on the images. So the luck of its best epoch is
    taken off. `is_share` and `is_signed` are those of `intervals.interval`.
    """
    assert study.trials is not None, "the rows are epochs"
    units = study.units
    parts = random_parts(units, rng) if units.n > 1 else None
    found = {}
    for number in np.unique(study.trials):
        rows = np.flatnonzero(study.trials == number)
        if len(rows) > 1:
            ties = None if study.tie_breakers is None else study.tie_breakers[rows]
            epochs = study._replace(values=study.values[rows], tie_breakers=ties, trials=None)
            best = int(epochs.values.mean(axis=1, dtype=np.float64).argmin())
            of_trial = chosen(epochs, best, rng, is_share=is_share, is_signed=is_signed, parts=parts)
            found[int(number)] = of_trial.interval
    return found


def random_parts(units: Units, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the part of each image in each of the random cuts, (N_REPEATS, n_images), from 0 to N_PARTS - 1.

    No group is cut: else its images would be scored by a choice that other images of the same group had a say in.
    """
    parts = np.arange(units.n) % min(N_PARTS, units.n)
    return units.spread(np.stack([rng.permutation(parts) for _ in range(N_REPEATS)]))


def largest_part(units: Units) -> int:
    """Return the largest number of images that a part of `random_parts` can have."""
    n_units = math.ceil(units.n / min(N_PARTS, units.n))
    return int(np.sort(units.sizes)[-n_units:].sum())


def choose_without(parts: NDArray[np.int64], study: TrialValues) -> NDArray[np.int64]:
    """Return the row that is chosen without each image, for each of the cuts `parts`, (N_REPEATS, n_images).

    Images of one part share it: all of them are left out together.
    """
    n_repeats, n_images = parts.shape
    n_parts = int(parts.max()) + 1
    is_left_out = parts[:, None] == np.arange(n_parts)[:, None]  # (n_repeats, n_parts, n_images)
    counts = 1 - is_left_out.reshape(-1, n_images).astype(np.float32)
    n_judging = counts.sum(axis=1, keepdims=True)
    rows = _possible_rows(study.values, max(int(np.bincount(cut).max()) for cut in parts))
    means = _sums(counts, study.values, rows) / n_judging
    if study.tie_breakers is not None:
        lowest = means.min(axis=1, keepdims=True)
        tied = np.flatnonzero((means <= lowest + TIE_WEIGHT).any(axis=0))
        if len(tied) > 1:
            means[:, tied] += TIE_WEIGHT * np.tanh(_sums(counts, study.tie_breakers, rows[tied]) / n_judging)
    chosen_by_part = rows[means.argmin(axis=1)].reshape(n_repeats, n_parts)
    result: NDArray[np.int64] = np.take_along_axis(chosen_by_part, parts, axis=1)
    return result


def _possible_rows(values: NDArray[np.generic], largest_part: int) -> NDArray[np.int64]:
    """Return the rows that may be chosen without one part of the images.

    A row of errors is never chosen if it has more of them than the best row, by more than there are images in a part:
    even if all its errors in the part are left out, and none of the best row, it stays the worse one. Nothing is known
    of other values.
    """
    if values.dtype != np.bool_:
        return np.arange(len(values))
    totals = np.count_nonzero(values, axis=1)
    return np.flatnonzero(totals <= totals.min() + largest_part)


def _sums(counts: NDArray[np.float32], values: NDArray[np.generic], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sum of the values of each of `rows` over the images that `counts` (n_samples, n_images) selects.

    float32 adds whole numbers without an error. The values are converted to it a few rows at a time, to save memory.
    """
    found = np.empty((len(counts), len(rows)))
    for start in range(0, len(rows), ROWS_AT_A_TIME):
        block = values[rows[start : start + ROWS_AT_A_TIME]].astype(np.float32)
        found[:, start : start + ROWS_AT_A_TIME] = counts @ block.T
    return found


def scores_of(choices: NDArray[np.int64], values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the value of each image by the row that was chosen without it, (N_REPEATS, n_images)."""
    result: NDArray[np.float64] = values[choices, np.arange(values.shape[1])].astype(np.float64)
    return result


def variance_of_mean(scores: NDArray[np.float64], units: Units) -> float:
    """Return the variance of the mean of scores, or of differences of scores, (N_REPEATS, n_images).

    It is that over the images or groups, and CHOICE_WEIGHT times what comes from choosing other trials in other cuts.
    """
    variance = float(units.variance_of_mean(scores, np.full(len(scores), scores.mean())).mean())
    choice_variance = max(0.0, variance - float(units.variance_of_mean(scores.mean(axis=0))))
    return variance + CHOICE_WEIGHT * choice_variance

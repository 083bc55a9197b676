"""Differences between the best trials of studies on their validation images, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from hpo.errors import StudyError
from hpo.record import History, StudyFolder
from hpo.record import predictions as kept_predictions
from hpo.statistics import per_image

N_RESAMPLES = 2_000
"""The number of times that the validation images are resampled."""
LEVEL = 0.95
"""The share of cases in which all intervals together hold."""
TOLERANCE = 0.02
"""The largest difference between the recorded objective and that of the predictions, as a share of it.

Beyond it, the search minimised another function, such as a loss with weights for the classes.
"""


@dataclass(frozen=True)
class Difference:
    """How much the best trial of one study differs from that of another, on the validation images."""

    first: str
    second: str
    value: float
    """The objective of the second minus that of the first: above 0, the first is better."""
    low: float
    high: float
    """Its interval. All intervals of a comparison hold together in 95 % of cases."""
    n_images: int
    """The number of validation images of the first."""
    is_paired: bool
    """Whether both were judged on the same images."""

    @property
    def words(self) -> str:
        """The difference in one sentence."""
        better, worse = (self.first, self.second) if self.value >= 0 else (self.second, self.first)
        low, high = (self.low, self.high) if self.value >= 0 else (-self.high, -self.low)
        how = "the same" if self.is_paired else "different"
        interval = f"by {abs(self.value):.4f}, 95 % interval {low:.4f} to {high:.4f} on {how} validation images"
        if self.low <= 0 <= self.high:
            return f"{better} and {worse} cannot be told apart: {better} is lower {interval}."
        return f"{better} is lower than {worse} {interval}."


def images_key(study: StudyFolder) -> str:
    """What identifies the images of a study's training and validation parts. Equal for studies without a data set."""
    try:
        record = study.data_record()
    except StudyError:
        record = None
    dataset = dict(record["dataset"]) if record and record["dataset"] else {}
    return repr(sorted((key, value) for key, value in dataset.items() if key != "held_out_part"))


def find_differences(studies: Sequence[tuple[StudyFolder, History]]) -> tuple[list[Difference], str | None]:
    """Return the differences of all pairs of studies, which minimise one objective. If there are none, also why.

    If two studies were judged on the same images, the images are resampled once for both (the paired bootstrap), else
    for each by itself. The level of each interval is that of Bonferroni.
    """
    known = []
    for study, history in studies:
        found = _of_best(study, history)
        if found is None:
            return [], (
                f"Their differences have no intervals: the validation predictions of the best trial of {study.name!r} "
                "were not kept, or do not give its objective."
            )
        known.append(found)
    pairs = list(combinations(known, 2))
    level = 1 - (1 - LEVEL) / len(pairs)
    rng = np.random.default_rng(0)
    return [_difference(first, second, level, rng) for first, second in pairs], None


@dataclass(frozen=True, eq=False)
class _BestTrial:
    """The best trial of a study on its validation images."""

    study: str
    images: str
    """What identifies the images."""
    labels: NDArray[np.int64]
    values: NDArray[np.float64]
    """(n_images,): their mean is the objective."""


def _of_best(study: StudyFolder, history: History) -> _BestTrial | None:
    """The best trial of a study, None if its predictions were not kept or do not give its objective."""
    best = history.incumbent
    found = None if best is None else kept_predictions.read(study, [best])
    if best is None or found is None or best.number not in found.logits:
        return None
    values = per_image(study.space.objective, found.logits[best.number], found.labels, found.folds)
    if values is None or abs(best.loss - float(values.mean())) > max(TOLERANCE * abs(best.loss), 2 / len(values)):
        return None
    return _BestTrial(study.name, images_key(study), found.labels, values)


def _difference(first: _BestTrial, second: _BestTrial, level: float, rng: np.random.Generator) -> Difference:
    """The difference of two best trials, with the percentile interval of the bootstrap."""
    is_paired = first.images == second.images and np.array_equal(first.labels, second.labels)
    if is_paired:
        means = _resampled_means(second.values - first.values, rng)
    else:
        means = _resampled_means(second.values, rng) - _resampled_means(first.values, rng)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail]).tolist()
    value = float(second.values.mean() - first.values.mean())
    return Difference(first.study, second.study, value, low, high, len(first.values), is_paired)


def _resampled_means(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """The means of N_RESAMPLES samples of the images, drawn with replacement."""
    n = len(values)
    means = [rng.multinomial(n, np.full(n, 1 / n)) @ values / n for _ in range(N_RESAMPLES)]
    return np.array(means, dtype=np.float64)

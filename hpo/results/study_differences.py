"""Differences between the best trials of studies on their validation images, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from hpo.errors import StudyError
from hpo.record import History, StudyFolder
from hpo.results.validation_values import ValidationValues, read_values
from hpo.statistics import difference_of_chosen

LEVEL = 0.95
"""The share of cases in which all intervals together hold."""


class RepeatedChoice(NamedTuple):
    """How the choice of a study's best trial was repeated, to take its luck off."""

    study: str
    n_compared: int
    """The number of trials that it was chosen from."""
    n_with_epochs: int
    """The number of them whose epoch is chosen again, too. Of the others, only the best epoch was kept."""
    n_images: int
    """The number of validation images that it was chosen by."""
    n_groups: int | None
    """The number of their groups. None without groups, or if they are not on record."""

    @property
    def is_complete(self) -> bool:
        """Whether the epoch of each trial is chosen again."""
        return self.n_with_epochs == self.n_compared


@dataclass(frozen=True)
class Difference:
    """How much the best trial of one study differs from that of another, on new images."""

    first: str
    second: str
    value: float
    """The objective of the second minus that of the first: above 0, the first is better.

    The luck of having been chosen is taken off both, so it is not the difference of the recorded objectives. How far
    that goes for the best epoch is in `choices`.
    """
    low: float
    high: float
    """Its interval. All intervals of a comparison hold together in 95 % of cases."""
    n_images: int
    """The number of validation images of the first."""
    is_paired: bool
    """Whether both were judged on the same images."""
    choices: tuple[RepeatedChoice, RepeatedChoice]
    """How the choices of both were repeated. If only one is complete, the other study looks better than it is."""

    @property
    def words(self) -> str:
        """The difference in one sentence."""
        better, worse = (self.first, self.second) if self.value >= 0 else (self.second, self.first)
        low, high = (self.low, self.high) if self.value >= 0 else (-self.high, -self.low)
        how = "the same" if self.is_paired else "different"
        value = f"{abs(self.value):.4f}"
        limits = f"{low:.4f} to {high:.4f} on {how} validation images"
        if float(value) == 0 and self.low <= 0 <= self.high:
            places = "" if self.value == 0 else " to four decimal places"
            return (
                f"{self.first} and {self.second} cannot be told apart: both are the same{places}, 95 % interval of the "
                f"difference {limits}."
            )
        if float(value) == 0:
            value, limits = f"{abs(self.value):.2g}", f"{low:.2g} to {high:.2g} on {how} validation images"
        interval = f"by {value}, 95 % interval {limits}"
        if self.low <= 0 <= self.high:
            return f"{better} and {worse} cannot be told apart: {better} is lower {interval}."
        return f"{better} is lower than {worse} {interval}."


def images_key(study: StudyFolder) -> str | None:
    """What identifies the images of a study's training and validation parts. None if they are not on record.

    Their groups do not count: images may belong to other groups in another study. Equal for studies without a data set.
    """
    try:
        record = study.data_record()
    except StudyError:
        return None
    dataset = dict(record["dataset"]) if record and record["dataset"] else {}
    if isinstance(dataset.get("training"), dict):
        dataset["training"] = {key: value for key, value in dataset["training"].items() if key != "groups"}
    return repr(sorted((key, value) for key, value in dataset.items() if key != "held_out_part"))


def find_differences(
    studies: Sequence[tuple[StudyFolder, History]], n_pairs: int
) -> tuple[list[Difference], str | None]:
    """Return the differences of all pairs of studies, which minimise one objective. If there are none, also why.

    If two studies were judged on the same images, the differences are paired. The level of each interval is that of
    Bonferroni for `n_pairs` pairs: these, and those of other objectives in the same comparison. One study has none.
    """
    if len(studies) < 2:
        return [], None
    known = []
    for study, history in studies:
        found = read_values(study, history)
        reason = found if isinstance(found, str) else found.incomplete
        if isinstance(found, str) or reason:
            return [], f"Their differences have no intervals: study {study.name!r}: {reason}."
        known.append(_Judged(study.name, images_key(study), found))
    level = 1 - (1 - LEVEL) / n_pairs
    rng = np.random.default_rng(0)
    return [_difference(first, second, level, rng) for first, second in combinations(known, 2)], None


@dataclass(frozen=True, eq=False)
class _Judged:
    """The trials of a study on its validation images."""

    study: str
    images: str | None
    """What identifies the images. None if that is not known."""
    values: ValidationValues

    @property
    def choice(self) -> RepeatedChoice:
        """How the choice of its best trial is repeated."""
        found = self.values
        return RepeatedChoice(
            self.study, len(found.compared), found.epochs.n_complete, len(found.labels), found.n_groups
        )


def _difference(first: _Judged, second: _Judged, level: float, rng: np.random.Generator) -> Difference:
    """The difference of the best trials of two studies."""
    is_known = first.images is not None and second.images is not None
    is_paired = is_known and first.images == second.images and np.array_equal(first.values.labels, second.values.labels)
    estimate, (low, high) = difference_of_chosen(
        first.values.epochs.values,
        second.values.epochs.values,
        rng,
        is_share=first.values.is_share,
        is_paired=is_paired,
        level=level,
    )
    n_images, choices = len(first.values.labels), (first.choice, second.choice)
    return Difference(first.study, second.study, estimate, low, high, n_images, is_paired, choices)

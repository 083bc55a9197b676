"""How sure the results of a test are, in words: intervals over seeds and images, and which tested trials differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hpo.heldout import randomness
from hpo.heldout.confusion import ModelKey
from hpo.heldout.image_results import GROUPS, ImageResults
from hpo.heldout.record import TestRecord
from hpo.heldout.trial_result import TrialResult, spoken
from hpo.results.confidence_cache import cached_confidence
from hpo.space.objectives import ERRORS, searched_metric
from hpo.statistics import Interval, are_signed, both_spreads, differing

Images = Mapping[ModelKey, ImageResults]
FEW_SEEDS = 3
"""With fewer seeds than this, the spread over seeds is hardly known."""


def interval_line(tested: TrialResult, images: Images, metric: str | None, *, is_random: bool = True) -> str:
    """Describe the 95 % interval of the accuracy of a tested trial, and of `metric`, the metric of the search.

    Without an interval, the line says why. `is_random` says whether another training would give another model.
    """
    names = tuple(dict.fromkeys((metric or "accuracy", "accuracy")))
    intervals = {name: found for name in names if (found := interval_of(tested, images, name)) is not None}
    parts = [f"{spoken(name)} {low:.4f} to {high:.4f}" for name, (low, high) in intervals.items()]
    if not parts:
        return f"  95 % interval: not known: {_unknown_because(tested, images)}"
    n_images = _values(tested, images, "accuracy").shape[1]
    about = (
        "other images and seeds" if len(tested.seeds) > 1 else f"other images{', for this one training' * is_random}"
    )
    unknown = [spoken(name) for name in names if name not in intervals]
    lacking = f"; that of {unknown[0]} is not known: {_no_values_because(tested, images, names[0])}" if unknown else ""
    return f"  95 % interval on {about}: {', '.join(parts)} ({n_images} test images){lacking}"


def interval_of(tested: TrialResult, images: Images, metric: str) -> Interval | None:
    """Return the 95 % interval of a metric of a tested trial over seeds and images, on the scale of the metric.

    None if the results for each image are not known for all of its models, or say nothing, as equal ones do of another
    metric than a share.
    """
    values = _values(tested, images, metric)
    if not values.size or not np.isfinite(values).all():
        return None
    is_share = f"val_{metric}" in ERRORS.values()
    is_signed = not is_share and metric != "loss" and are_signed(values)  # a function of the user
    groups = _groups(images, values.shape[1])
    low, high = both_spreads(values, is_share=is_share, is_signed=is_signed, groups=groups)
    if not is_share and high == math.inf:
        return None
    return Interval(1 - high, 1 - low) if is_share else Interval(low, high)


def n_groups_and_images(images: Images) -> tuple[int | None, int]:
    """Return how many groups the held-out images have, None if they have none on record, and how many they are.

    All intervals and comparisons of the tested trials take these groups as independent.
    """
    n_images = next((len(each["accuracy"]) for each in images.values() if "accuracy" in each), 0)
    groups = _groups(images, n_images)
    return None if groups is None else len(np.unique(groups)), n_images


def _groups(images: Images, n_images: int) -> NDArray[np.int64] | None:
    """The groups of the held-out images, (n_images,). None without groups, or if they are not on record.

    All models of a study are tested on the same images. So the groups of any of them are those of the others, too,
    such as of one that an earlier version tested.
    """
    found = (each[GROUPS] for each in images.values() if GROUPS in each)
    return next((groups.astype(np.int64) for groups in found if len(groups) == n_images), None)


def _no_values_because(tested: TrialResult, images: Images, metric: str) -> str:
    """Why a metric of a tested trial has no interval, although the accuracy has one."""
    if _values(tested, images, metric).size:
        return "all images have the same value"
    return "it cannot be computed from the probabilities of the images"


def _unknown_because(tested: TrialResult, images: Images) -> str:
    """Why a tested trial has no interval."""
    n_seeds = len(tested.seeds)
    missing = [seed for seed in tested.seeds if not images.get((tested.trial, seed))]
    if not missing:
        return "its results for the images do not belong together, or are not finite"
    of_seeds = f" of {len(missing)} of {n_seeds} seeds" if len(missing) < n_seeds else ""
    return (
        f"its results for each image{of_seeds} are not stored: its training code has no `predict(part)`, "
        "or an earlier version of hpo tested it"
    )


def difference_lines(record: TestRecord, images: Images) -> list[str]:
    """Say which of the tested trials differ, if there are several, and whether the search's choice is a lottery.

    Trials that were tested by different protocols are not compared: their models were trained on different images.
    """
    text = []
    ranked = record.ranked()
    for protocol in dict.fromkeys(each.protocol for each in ranked):
        of_protocol = [each for each in ranked if each.protocol == protocol]
        text += _differences(record, of_protocol, images)
    history, _ = record.study.history()
    of_search, _ = cached_confidence(record.study, history)
    if of_search is not None and of_search.is_lottery:
        text.append(f"The choice of trial {of_search.best} was a lottery: {of_search.advice}")
    return text


def _differences(record: TestRecord, trials: Sequence[TrialResult], images: Images) -> list[str]:
    """Say which of `trials` differ, which were tested by the same protocol. Empty if there is one."""
    text = []
    metric = searched_metric(record.study.space.objective) or "accuracy"
    known = _finite_values(trials, images, metric)
    if not known:  # it is a function of the user that has no values for single images
        metric, known = "accuracy", _finite_values(trials, images, "accuracy")
    if len(known) > 1 and len({values.shape[1] for _, values in known}) == 1:
        pairs = differing([values for _, values in known], _groups(images, known[0][1].shape[1]))
        random = {each.trial for each in trials if randomness.is_random(record.study, each.config)}
        n_seeds = {trial: len(values) for trial, values in known if trial in random}
        text.append(_difference_words(pairs, [trial for trial, _ in known], spoken(metric)))
        if min(n_seeds.values(), default=FEW_SEEDS) < FEW_SEEDS:
            text[-1] += f" More seeds say more: `--seeds {FEW_SEEDS}`."
    return text


def _difference_words(pairs: list[tuple[int, int]], trials: list[int], metric: str) -> str:
    """Which trials differ. `pairs` are indices into `trials`, the better one first."""
    if not pairs:
        names = f"{', '.join(map(str, trials[:-1]))} and {trials[-1]}"
        return f"The test {metric} of trials {names} cannot be told apart."
    better: dict[int, list[int]] = {}
    for first, second in pairs:
        better.setdefault(trials[first], []).append(trials[second])
    words = [f"{trial} is better than {', '.join(map(str, sorted(worse)))}" for trial, worse in sorted(better.items())]
    n_pairs = len(trials) * (len(trials) - 1) // 2
    rest = "" if len(pairs) == n_pairs else "; the others cannot be told apart"
    return f"In test {metric}, trial {'; trial '.join(words)}{rest}."


def _finite_values(trials: Sequence[TrialResult], images: Images, metric: str) -> list[tuple[int, NDArray[np.float64]]]:
    """The numbers of the tested trials with their values (n_seeds, n_images), if these are finite."""
    found = [(each.trial, _values(each, images, metric)) for each in trials]
    return [(trial, values) for trial, values in found if values.size and np.isfinite(values).all()]


def _values(tested: TrialResult, images: Images, metric: str) -> NDArray[np.float64]:
    """The values of a metric for each seed and image, (n_seeds, n_images). Empty if one of them is not known."""
    rows = [images.get((tested.trial, seed), {}).get(metric) for seed in tested.seeds]
    known = [row for row in rows if row is not None]
    if len(known) < len(rows) or len({len(row) for row in known}) != 1:
        return np.empty((0, 0))
    return np.stack(known).astype(np.float64)

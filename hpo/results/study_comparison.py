"""Several studies side by side: what each found and spent, and how sure their differences are."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpo.errors import StudyError
from hpo.heldout.record import TestRecord
from hpo.heldout.trial_result import TrialResult
from hpo.record import History, StudyFolder
from hpo.record import predictions as kept_predictions
from hpo.results.best_so_far import BestSoFar
from hpo.statistics import per_image

if TYPE_CHECKING:
    from pandas import DataFrame

N_RESAMPLES = 2_000
"""The number of times that the validation images are resampled."""
LEVEL = 0.95
"""The level of all intervals together."""
COLUMNS = (
    *("study", "space", "backend", "seed", "objective", "best", "best_after_common_epochs", "epochs_to_common_value"),
    *("test_accuracy", "test_accuracy_std", "test_seeds", "trials", "epochs", "seconds"),
)


@dataclass(frozen=True)
class SearchedStudy:
    """What is compared of one study."""

    study: StudyFolder
    history: History
    curve: BestSoFar
    """The best value so far, over epochs and over time."""
    seconds: float
    """The time of search."""
    tested: TrialResult | None
    """The test result of the best tested trial, None without a test."""

    @classmethod
    def read(cls, folder: Path) -> SearchedStudy:
        """Read a study. Raises a StudyError if there is none, or if its record is missing or damaged."""
        study = StudyFolder.reopen(folder)
        with contextlib.closing(study.ledger(write=False)) as ledger:
            curve = BestSoFar(ledger.history, ledger.times)
            tested = next(iter(TestRecord.read(study).ranked()), None)
            return cls(study, ledger.history, curve, ledger.recorded, tested)


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


@dataclass(frozen=True)
class StudyComparison:
    """Several studies side by side."""

    studies: Sequence[SearchedStudy]
    objective: str | None
    """The objective that all of them minimise. None if there are several: then their values are not compared."""
    common_epochs: int
    """The number of epochs that each study has trained at least."""
    common_value: float
    """The value that each study has reached: the highest of the best values. inf if one has no finite value."""
    differences: Sequence[Difference]
    notes: Sequence[str]
    """What cannot be compared, and why, as sentences."""


def compare_studies(folders: Sequence[Path]) -> StudyComparison:
    """Compare studies of one search space or several. Raises the errors of `SearchedStudy.read`."""
    return comparison_of([SearchedStudy.read(folder) for folder in folders])


def comparison_of(studies: Sequence[SearchedStudy]) -> StudyComparison:
    """Compare studies that were read."""
    metrics = {each.study.space.metric for each in studies}
    objective = metrics.pop() if len(metrics) == 1 else None
    notes = [] if objective else ["They minimise different objectives, so their values cannot be compared."]
    if len({each.study.space.digest() for each in studies}) > 1:
        notes.append("They searched different spaces.")
    data = {_data_key(each.study) for each in studies}
    if len(data) > 1:
        notes.append("They were searched on different images, or split differently, which may be the difference.")
    differences: list[Difference] = []
    if objective:
        differences, reason = _differences(studies, objective)
        notes += [reason] if reason else []
    return StudyComparison(
        studies,
        objective,
        min(each.curve.n_epochs for each in studies),
        max(each.curve.best for each in studies),
        differences,
        notes,
    )


def _data_key(study: StudyFolder) -> str:
    """What identifies the images of a study and how they are split."""
    try:
        record = study.data_record()
    except StudyError:
        record = None
    dataset = dict(record["dataset"]) if record and record["dataset"] else {}
    return repr(sorted((key, value) for key, value in dataset.items() if key != "held_out_part"))


def _differences(studies: Sequence[SearchedStudy], objective: str) -> tuple[list[Difference], str | None]:
    """The differences of all pairs of studies, and why there are none."""
    values: dict[str, tuple[NDArray[np.float64], NDArray[np.int64]]] = {}
    for each in studies:
        found = _of_best(each, objective)
        if found is None:
            return [], (
                f"Their differences have no intervals: no validation predictions of the best trial of "
                f"{each.study.name!r} were kept."
            )
        values[each.study.name] = found
    pairs = list(combinations(values, 2))
    rng = np.random.default_rng(0)
    return [_difference(a, b, values, 1 - (1 - LEVEL) / len(pairs), rng) for a, b in pairs], None


def _of_best(study: SearchedStudy, objective: str) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
    """The objective of the best trial for each validation image, and the labels of the images. None if not known."""
    best = study.history.incumbent
    found = None if best is None else kept_predictions.read(study.study, [best])
    if best is None or found is None or best.number not in found.logits:
        return None
    values = per_image(objective, found.logits[best.number], found.labels, found.folds)
    return None if values is None else (values, found.labels)


def _difference(
    first: str,
    second: str,
    values: dict[str, tuple[NDArray[np.float64], NDArray[np.int64]]],
    level: float,
    rng: np.random.Generator,
) -> Difference:
    """The difference of two studies, with the percentile interval of the bootstrap at `level`."""
    (a, labels_a), (b, labels_b) = values[first], values[second]
    is_paired = np.array_equal(labels_a, labels_b)
    if is_paired:
        means = _resampled_means(b - a, rng)
    else:
        means = _resampled_means(b, rng) - _resampled_means(a, rng)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail]).tolist()
    return Difference(first, second, float(b.mean() - a.mean()), low, high, len(a), is_paired)


def _resampled_means(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """The means of N_RESAMPLES samples of the images, drawn with replacement."""
    n = len(values)
    means = [rng.multinomial(n, np.full(n, 1 / n)) @ values / n for _ in range(N_RESAMPLES)]
    return np.array(means, dtype=np.float64)


def frame(found: StudyComparison) -> DataFrame:
    """The comparison as a table, one row for each study, in the given order. What is not known is empty."""
    import pandas as pd

    rows = [_row(found, each) for each in found.studies]
    types = dict.fromkeys(
        ("best", "best_after_common_epochs", "test_accuracy", "test_accuracy_std", "seconds"), "float64"
    )
    types |= dict.fromkeys(("seed", "epochs_to_common_value", "test_seeds", "trials", "epochs"), "Int64")
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=object).astype(types)


def _row(found: StudyComparison, each: SearchedStudy) -> dict[str, object]:
    study, curve, tested = each.study, each.curve, each.tested
    row: dict[str, object] = {"study": study.name, "space": study.space.name, "backend": study.settings.backend}
    row |= {"seed": study.settings.seed, "objective": study.space.metric}
    row |= {"trials": len(each.history.trials), "epochs": each.history.n_epochs, "seconds": round(each.seconds, 1)}
    if math.isfinite(curve.best):
        row["best"] = curve.best
    if found.objective and found.common_epochs and math.isfinite(curve.after(found.common_epochs)):
        row["best_after_common_epochs"] = curve.after(found.common_epochs)
    if found.objective and math.isfinite(found.common_value):
        row["epochs_to_common_value"] = curve.epochs_until(found.common_value)
    if tested is not None:
        accuracy = tested.test_accuracy
        row |= {"test_accuracy": accuracy.mean, "test_accuracy_std": accuracy.std, "test_seeds": len(tested.seeds)}
    return row

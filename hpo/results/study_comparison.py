"""Several studies side by side: what each found and spent, and how sure their differences are."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import shortened
from hpo.heldout.record import TestRecord
from hpo.heldout.trial_result import TrialResult
from hpo.record import History, StudyFolder
from hpo.results.best_so_far import BestSoFar
from hpo.results.study_differences import Difference, find_differences, images_key
from hpo.space import SearchSpace
from hpo.space.values import format_value

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = (
    *("study", "space", "backend", "seed", "objective", "best", "best_after_common_epochs", "epochs_to_common_value"),
    *("test_accuracy", "test_accuracy_std", "test_seeds", "trials", "epochs", "seconds"),
)

MAX_KEYS = 5
"""The largest number of keys of a space that a sentence names."""


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
class ObjectiveGroup:
    """The studies that minimise one objective. Only they are compared with each other."""

    objective: str
    studies: Sequence[SearchedStudy]
    common_epochs: int
    """The number of epochs that each study has trained at least."""
    common_value: float
    """The value that each study has reached: the highest of the best values. inf if one has no finite value."""
    differences: Sequence[Difference]

    @property
    def is_several(self) -> bool:
        """Whether there is something to compare."""
        return len(self.studies) > 1


@dataclass(frozen=True)
class StudyComparison:
    """Several studies side by side."""

    studies: Sequence[SearchedStudy]
    groups: Sequence[ObjectiveGroup]
    """The studies by objective, in the order in which the objectives come first."""
    notes: Sequence[str]
    """What cannot be compared, and why, as sentences."""

    @property
    def differences(self) -> list[Difference]:
        """The differences within the groups."""
        return [difference for group in self.groups for difference in group.differences]


def compare_studies(folders: Sequence[Path]) -> StudyComparison:
    """Compare studies of one search space or several. Raises the errors of `SearchedStudy.read`."""
    return comparison_of([SearchedStudy.read(folder) for folder in folders])


def comparison_of(studies: Sequence[SearchedStudy]) -> StudyComparison:
    """Compare studies that were read. Those of different objectives are not compared with each other."""
    by_objective = _by_objective(studies)
    notes = []
    if len(by_objective) > 1:
        is_any = len(by_objective) < len(studies)
        whether = "only those of the same objective are compared" if is_any else "they are not compared"
        notes.append(f"The studies minimise different objectives: {whether}.")
    # Different objectives were said already.
    said = {"objective"} if len(by_objective) > 1 else set()
    if differing := _space_differences([each.study.space for each in studies], said):
        notes.append(f"Their spaces differ: {differing}.")
    keys = {each.study.name: images_key(each.study) for each in studies}
    for name in (name for name, key in keys.items() if key is None):
        notes.append(f"Which images study {name!r} was searched on cannot be read, so it is not paired with others.")
    is_compared = any(len(group) > 1 for group in by_objective.values())
    if is_compared and len({key for key in keys.values() if key is not None}) > 1:
        notes.append("They were searched on different images, or split differently, which may be the difference.")
    n_pairs = sum(math.comb(len(group), 2) for group in by_objective.values())
    groups = []
    for objective, group in by_objective.items():
        differences, reason = find_differences([(each.study, each.history) for each in group], n_pairs)
        notes += [reason] if reason else []
        common_epochs = min(each.curve.n_epochs for each in group)
        common_value = max(each.curve.best for each in group)
        groups.append(ObjectiveGroup(objective, group, common_epochs, common_value, differences))
    return StudyComparison(studies, groups, notes)


def _by_objective(studies: Sequence[SearchedStudy]) -> dict[str, list[SearchedStudy]]:
    """The studies by the name of their objective. Functions of other files, or of other code, are other objectives."""
    groups: dict[tuple[str, str | None], list[SearchedStudy]] = {}
    for each in studies:
        groups.setdefault((each.study.space.objective, each.study.objective_digest), []).append(each)
    metrics = [group[0].study.space.metric for group in groups.values()]
    objectives = [objective for objective, _ in groups]
    named = {}
    for (objective, digest), metric, group in zip(groups, metrics, groups.values(), strict=True):
        code = f", code {digest[:7]}" if digest and objectives.count(objective) > 1 else ""
        named[metric if metrics.count(metric) == 1 else f"{metric} ({objective}{code})"] = group
    return named


def _space_differences(spaces: Sequence[SearchSpace], without: Collection[str]) -> str:
    """The keys of a space file in which spaces differ, each with its values in the order of the studies.

    The keys in `without` are left out. Empty if the spaces differ in no other key.
    """
    flat = [_flat(space.content()) for space in spaces]
    keys = dict.fromkeys(key for each in flat for key in each if key not in without)
    found = []
    for key in keys:
        values = [format_value(each[key]) if key in each else "not set" for each in flat]
        if len(set(values)) > 1:
            found.append(f"{key} is {', '.join(map(shortened, values[:-1]))} and {shortened(values[-1])}")
    more = [f"{len(found) - MAX_KEYS} more keys"] if len(found) > MAX_KEYS else []
    return "; ".join(found[:MAX_KEYS] + more)


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, by keys such as `task.validation.fraction`."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def frame(found: StudyComparison) -> DataFrame:
    """The comparison as a table, one row for each study, in the given order. What is not known is empty."""
    import pandas as pd

    groups = {id(each): group for group in found.groups for each in group.studies}
    rows = [_row(groups[id(each)], each) for each in found.studies]
    types = dict.fromkeys(
        ("best", "best_after_common_epochs", "test_accuracy", "test_accuracy_std", "seconds"), "float64"
    )
    types |= dict.fromkeys(("seed", "epochs_to_common_value", "test_seeds", "trials", "epochs"), "Int64")
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=object).astype(types)


def _row(group: ObjectiveGroup, each: SearchedStudy) -> dict[str, object]:
    study, curve, tested = each.study, each.curve, each.tested
    row: dict[str, object] = {"study": study.name, "space": study.space.name, "backend": study.settings.backend}
    row |= {"seed": study.settings.seed, "objective": study.space.metric}
    row |= {"trials": len(each.history.trials), "epochs": each.history.n_epochs, "seconds": round(each.seconds, 1)}
    if math.isfinite(curve.best):
        row["best"] = curve.best
    if group.is_several and group.common_epochs and math.isfinite(curve.after(group.common_epochs)):
        row["best_after_common_epochs"] = curve.after(group.common_epochs)
    if group.is_several and math.isfinite(group.common_value):
        row["epochs_to_common_value"] = curve.epochs_until(group.common_value)
    if tested is not None:
        accuracy = tested.test_accuracy
        row |= {"test_accuracy": accuracy.mean, "test_accuracy_std": accuracy.std, "test_seeds": len(tested.seeds)}
    return row

"""The table of a study: every trial, best first."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING, Any

from hpo.heldout.record import TestRecord
from hpo.heldout.trial_result import TrialResult
from hpo.record import History, State, StudyFolder, Trial, is_locked, shown_state
from hpo.space import Categorical, Domain, Int
from hpo.space.objectives import (
    ERRORS,
    METRICS,
    OBJECTIVES,
    OTHER_TESTS,
    TESTS,
    metric_of,
    own_columns,
    own_function,
    searched_metric,
)
from hpo.space.values import list_as_text
from hpo.trial import PEAKS

if TYPE_CHECKING:
    from pandas import DataFrame


def table(study: StudyFolder, record: tuple[History, str | None] | None = None) -> DataFrame:
    """Return all trials of a study, the lowest loss first. Trials without a finite loss come last.

    `record` is the history and why the study ended, as `StudyFolder.history` returns them. None to read them.

    Columns: trial and state; the hyperparameters, empty if not active; the metrics at the stopping epoch; `loss` (the
    objective); `stopping_epoch` (the best epoch) and `epochs` (the number trained); bracket; seconds;
    `peak_host_gib` and `peak_gpu_gib` (the most memory that an epoch took, if it was measured). If a trial was tested:
    `test_accuracy`, `test_accuracy_std`, `test_loss`, `test_seeds`, and the means of the other metrics, such
    as `test_f1`. If a trial crashed: `error`.

    Whole numbers are whole in every row. A hyperparameter that is not active is NaN or NA; the choice null is None.
    """
    import pandas as pd

    history, finished = study.history() if record is None else record
    own = own_columns(study.space.objective)
    metrics, other_tests = (*METRICS, *own[:1]), (*OTHER_TESTS, *own[1:])
    tested = {each.trial: _test_columns(each, other_tests) for each in TestRecord.read(study).trials}
    ranked = history.ranked()
    numbers = {trial.number for trial in ranked}
    rest = [trial for trial in history.trials.values() if trial.number not in numbers]
    state = partial(shown_state, closed=finished is not None, searching=is_locked(study.folder))
    rows = [_row(trial, state(trial), metrics) | tested.get(trial.number, {}) for trial in ranked + rest]
    names = [*study.space.domains, *(name for name in metrics if any(name in row for row in rows))]
    first, last = ["trial", "state"], ["loss", "stopping_epoch", "epochs", "bracket", "seconds"]
    last += [name for name in PEAKS if any(name in row for row in rows)]
    others = [name for name in other_tests if any(name in row for row in rows)]
    tests = [*TESTS, *others] if tested else []
    errors = ["error"] if history.n_crashes else []
    # Objects first: pandas would turn whole numbers with gaps into floats, and None into NaN.
    frame = pd.DataFrame(rows, columns=[*first, *names, *last, *tests, *errors], dtype=object)
    types = {name: _column_type(domain) for name, domain in study.space.domains.items()}
    types |= dict.fromkeys(("trial", "epochs", "bracket"), "int64") | dict.fromkeys(("state", "error"), "str")
    types |= dict.fromkeys(("stopping_epoch", "test_seeds"), "Int64")
    return frame.astype({name: types.get(name, "float64") for name in map(str, frame)})


def _column_type(domain: Domain) -> str:
    """The pandas type of the column of a hyperparameter. Choices of several types, or with null, are objects."""
    if not isinstance(domain, Categorical):
        return "Int64" if isinstance(domain, Int) else "float64"
    kinds = {type(list_as_text(choice)) for choice in domain.choices}
    names: dict[type, str] = {int: "Int64", bool: "boolean", float: "float64", str: "str"}
    return names.get(kinds.pop(), "object") if len(kinds) == 1 else "object"


KEPT = ("val_loss", "val_accuracy", "test_accuracy", "test_accuracy_std")
"""The metrics on validation and held-out data that a terminal shows."""


def short(frame: DataFrame, hyperparameters: Collection[str], objective: str = OBJECTIVES[0]) -> DataFrame:
    """Return the table with the columns that fit a terminal. `loss` is dropped if it equals `val_loss` in each row.

    Of the metrics on validation and held-out data, those in KEPT are shown, and the metric of `objective` on held-out
    data. `loss` shows the objective.
    """
    kept = (*KEPT, f"test_{searched_metric(objective)}")
    metrics = [name for name in map(str, frame) if name.startswith(("val_", "test_")) and name not in hyperparameters]
    less_important = [name for name in metrics if name not in kept]
    less_important += [name for name in ("bracket", "seconds", *PEAKS, "train_loss", "error") if name in frame]
    shown = frame.drop(columns=less_important)
    if "val_loss" in shown and (shown["val_loss"].fillna(-1) == shown["loss"].fillna(-1)).all():
        shown = shown.drop(columns="loss")
    return shown


def loss_line(shown: DataFrame, objective: str) -> str | None:
    """Say what the column `loss` of a table of `short` is. None if the table does not have it."""
    if "loss" not in shown:
        return None
    how = f"1 - {ERRORS[objective]}" if objective in ERRORS else objective if own_function(objective) else ""
    return f"loss: the objective that the search minimised, {metric_of(objective)}{how and f' ({how})'}."


def _test_columns(tested: TrialResult, others: Collection[str]) -> dict[str, Any]:
    """The test columns of a tested trial. `others` are those beside the accuracy and the loss."""
    return {
        "test_accuracy": tested.test_accuracy.mean,
        "test_accuracy_std": tested.test_accuracy.std,
        "test_loss": tested.test_loss.mean,
        "test_seeds": len(tested.seeds),
        **{name: spread.mean for name, spread in tested.metrics.items() if name in others},
    }


def _row(trial: Trial, shown_state: State, metrics: Collection[str]) -> dict[str, Any]:
    """The row of a trial with these metrics, without its test columns."""
    best = trial.best if trial.crash is None and trial.loss < float("inf") else None
    row: dict[str, Any] = {"trial": trial.number, "state": shown_state.value}
    row |= {name: list_as_text(value) for name, value in trial.config.items()}
    row |= {"epochs": trial.epoch, "bracket": trial.bracket}
    row |= {"seconds": round(sum(report.seconds for report in trial.reports), 3), **trial.peaks}
    if trial.crash is not None:
        row["error"] = trial.crash.summary
    if best is not None:
        row |= {name: best.metrics[name] for name in metrics if name in best.metrics}
        row |= {"loss": best.loss, "stopping_epoch": best.fidelity}
    return row

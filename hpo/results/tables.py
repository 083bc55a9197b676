"""The ledger as tables (floor 4): every trial of a study, best first, in the formats that papers and tools read."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import references
from hpo.domains import Int
from hpo.errors import Mistake, StudyError, UnknownName
from hpo.folder import is_locked, write_text
from hpo.history import State, Trial
from hpo.rules import METRICS, TESTS
from hpo.space import SearchSpace
from hpo.study import Study
from hpo.trial import Scalar

if TYPE_CHECKING:
    from pandas import DataFrame

FORMATS = ("csv", "md", "latex", "html", "json")
N_BEST = 10
"""The rows of best.csv."""


def table(study: Study) -> DataFrame:
    """All trials of a study, the lowest loss first, then those without one.

    Columns: trial, state; the hyperparameters, empty where not active; the metrics at the stopping
    epoch; `loss` (the objective); `stopping_epoch` (the best) and `epochs` (trained); bracket;
    seconds; where a trial was tested, `test_accuracy`, `test_accuracy_std`, `test_loss` and `test_seeds`;
    where one crashed, `error`.
    """
    import pandas as pd

    history, finished = study.history()
    tested = tests(study)
    ranked = history.ranked()
    numbers = {trial.number for trial in ranked}
    rest = [trial for trial in history.trials.values() if trial.number not in numbers]
    shown = partial(state, closed=finished is not None, searching=is_locked(study.folder))
    rows = [_row(study, trial, shown(trial)) | tested.get(trial.number, {}) for trial in ranked + rest]
    names = [*study.space.domains, *(name for name in METRICS if any(name in row for row in rows))]
    first, last = ["trial", "state"], ["loss", "stopping_epoch", "epochs", "bracket", "seconds"]
    looked = TESTS if tested else []
    failed = ["error"] if history.n_crashes else []
    frame = pd.DataFrame(rows, columns=[*first, *names, *last, *looked, *failed])
    whole = {name for name, domain in study.space.domains.items() if isinstance(domain, Int)}
    whole |= {"stopping_epoch", "test_seeds"} & set(frame)
    return frame.astype(dict.fromkeys(whole, "Int64"))


def tests(study: Study) -> dict[int, dict[str, Any]]:
    """What `test.json` says of each tested trial, under the names of the table's columns."""
    try:
        return {
            result["trial"]: {
                "test_accuracy": result["test_accuracy"]["mean"],
                "test_accuracy_std": result["test_accuracy"]["std"],
                "test_loss": result["test_loss"]["mean"],
                "test_seeds": len(result["seeds"]),
            }
            for result in tested(study)["results"]
        }
    except (KeyError, TypeError) as error:
        raise StudyError(
            f"{study.folder / 'test.json'}: is damaged, or was written by another version: {error}"
        ) from None


def tested(study: Study) -> dict[str, Any]:
    """What `test.json` says so far: the count of looks, and the results."""
    path = study.folder / "test.json"
    if not path.exists():
        return {"study": study.name, "looks": 0, "results": []}
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content["looks"], int) or not isinstance(content["results"], list):
            raise TypeError("looks or results")
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{path}: is damaged, or was written by another version: {error}") from None
    return content


def render(frame: DataFrame, format: str) -> str:
    """A table as text: csv, md, latex, html or json (a list of objects)."""
    if format == "csv":
        return str(frame.to_csv(index=False))
    if format == "json":
        return _json(frame)
    shown = frame.map(cell)
    if format == "md":
        escaped = shown.map(lambda text: text.replace("|", r"\|"))
        return str(escaped.to_markdown(index=False, disable_numparse=True)) + "\n"
    if format == "latex":
        style = shown.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis="columns")
        return str(style.to_latex(hrules=True))
    if format == "html":
        return str(shown.to_html(index=False, border=0)) + "\n"
    raise UnknownName("format", format, FORMATS)


def comparison(study: Study) -> DataFrame | None:
    """The published numbers that the study's space names, beside what the study found; None where it names none.

    The columns are those of `references.side_by_side`. UnknownName where there is no such reference.
    """
    return _compared(study, table(study))


def comparison_page(study: Study, frame: DataFrame) -> str:
    """A comparison as a page of Markdown: the table, below it what all its rows share, and the notes by number."""
    shown, lines = references.condensed(frame)
    heading = f"# {study.name}: published ({study.space.reference}) and found"
    return "\n".join([heading, "", render(shown, "md"), _ours(study, frame), "", *lines]).rstrip() + "\n"


def _ours(study: Study, frame: DataFrame) -> str:
    """How our rows were made, as far as the columns do not say it."""
    hidden = [f"{name} {value}" for name, value in constants(study.space).items() if name not in frame]
    parts = [*hidden, f"at most {study.space.fidelity.high} epochs"]
    protocols = sorted({result["protocol"] for result in tested(study)["results"]})
    how = f", tested by the protocol {' or '.join(protocols)}" if protocols else ", none of them tested"
    return f"Ours: {', '.join(parts)}{how}."


def constants(space: SearchSpace) -> dict[str, Scalar]:
    """What all trials of a space share: its fixed values, and under names as of hyperparameters its task."""
    task, dataset = space.task, space.task.dataset
    named = {name: value for name in ("regime", "model") if (value := getattr(task, name)) is not None}
    return {**space.fixed, **named, **({"dataset": dataset.name, **dataset.options} if dataset else {})}


def write_tables(study: Study) -> None:
    """Write trials.csv, all trials, and best.csv, the best of them, into the study's folder.

    Where its space names published numbers, comparison.csv and comparison.md, too.
    """
    frame = table(study)
    write_text(study.folder / "trials.csv", render(frame, "csv"))
    write_text(study.folder / "best.csv", render(frame.dropna(subset=["stopping_epoch"]).head(N_BEST), "csv"))
    if (compared := _compared(study, frame)) is not None:
        write_text(study.folder / "comparison.csv", render(compared, "csv"))
        write_text(study.folder / "comparison.md", comparison_page(study, compared))


def write(text: str, out: Path) -> None:
    """Write a table, rendered, into a file of the user's."""
    if not out.parent.is_dir():
        raise Mistake(f"--out {out}: there is no folder {out.parent}")
    if out.is_dir():
        raise Mistake(f"--out {out}: is a folder; a file is needed")
    write_text(out, text)


def short(frame: DataFrame) -> DataFrame:
    """The columns that fit a terminal: those that differ between trials, and the results."""
    drop = [name for name in ("bracket", "seconds", "train_loss", "test_loss", "test_seeds", "error") if name in frame]
    shown = frame.drop(columns=drop)
    if "val_loss" in shown and (shown["val_loss"].fillna(-1) == shown["loss"].fillna(-1)).all():
        shown = shown.drop(columns="loss")
    return shown


def state(trial: Trial, *, closed: bool, searching: bool) -> State:
    """The state of a trial as people see it: in a closed study nothing waits; where nobody searches, nothing runs."""
    if trial.state not in (State.PAUSED, State.RUNNING):
        return trial.state
    if closed:
        return State.STOPPED
    return trial.state if searching else State.PAUSED


def _compared(study: Study, frame: DataFrame) -> DataFrame | None:
    if study.space.reference is None:
        return None
    return references.side_by_side(frame, references.read(study.space.reference), constants(study.space))


def _json(frame: DataFrame) -> str:
    """A list of objects, every digit kept; what is missing is null."""
    rows = [
        {name: None if missing else value for (name, value), missing in zip(row.items(), row.isna(), strict=True)}
        for _, row in frame.astype(object).iterrows()
    ]
    return json.dumps(rows, indent=2, allow_nan=False) + "\n"


def _row(study: Study, trial: Trial, shown: State) -> dict[str, Any]:
    best = trial.best if trial.crash is None and trial.loss < float("inf") else None
    row: dict[str, Any] = {"trial": trial.number, "state": shown.value, **trial.config}
    row |= {"epochs": trial.epoch, "bracket": trial.bracket}
    row |= {"seconds": round(sum(report.seconds for report in trial.reports), 3)}
    if trial.crash is not None:
        row["error"] = f"{trial.crash.kind}: {trial.crash.error.strip().partition(chr(10))[0]}"
    if best is not None:
        row |= {name: best.metrics[name] for name in METRICS if name in best.metrics}
        row |= {"loss": best.loss, "stopping_epoch": best.fidelity}
    return row


def cell(value: Any) -> str:
    """A value as a person reads it: four significant digits, nothing for what is missing."""
    import pandas as pd

    if value is None or value is pd.NA or value != value:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)

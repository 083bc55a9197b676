"""Published numbers: tables that come with hpo, and what a study found beside them.

A table is a csv file of `search_spaces/references`, a row a training: hyperparameters under our own
names, results as published, and a `note` where a figure is doubtful. What a table leaves empty was
not published.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import UnknownName
from hpo.space.rules import METRICS, TAKEN
from hpo.space.values import is_number
from hpo.trial import Scalar

if TYPE_CHECKING:
    from pandas import DataFrame

RESULTS = (*METRICS, "test_accuracy", "accuracy", "stopping_epoch")
"""The columns of a table that hold results; `accuracy` is one of a part that was not published."""
N_UNPUBLISHED = 5
"""How many of the best trials follow that no published row matches."""
TOLERANCE = 1e-9
"""The relative difference below which two numbers are the same."""

Row = Mapping[str, Any]


def names() -> list[str]:
    """The names of the published tables, sorted."""
    return sorted(_paths())


def read(name: str) -> DataFrame:
    """A published table, its columns in the order of the file; UnknownName with the nearest known one."""
    import pandas as pd

    paths = _paths()
    if name not in paths:
        raise UnknownName("reference", name, paths)
    return pd.read_csv(paths[name], keep_default_na=False, na_values=[""])  # "none" and the like are values


def hyperparameters(reference: DataFrame) -> list[str]:
    """The columns of a published table that say how was trained."""
    return [name for name in map(str, reference) if name not in (*RESULTS, "note")]


def side_by_side(found: DataFrame, reference: DataFrame, fixed: Mapping[str, Scalar]) -> DataFrame:
    """One row for each published row, its results beside those that a study found; then the best other trials.

    `found` is the table of a study, `fixed` what all its trials share: fixed hyperparameters and the
    names of the task. A trial matches a published row that agrees in every hyperparameter which both
    have, numbers within 1e-9 of each other; of several, the one with the lowest loss stands in the row.
    Without one the found columns stay empty. Behind them come at most the five best trials that no
    published row matches.

    Columns: `source` (published, found, or both); the hyperparameters; for each result `NAME published`
    and `NAME found`; `test_accuracy difference`, found less published; `trial` and its `epochs`; `note`.
    """
    import pandas as pd

    searched, published = [name for name in map(str, found) if name not in TAKEN], hyperparameters(reference)
    names, common = list(dict.fromkeys([*published, *searched])), [n for n in published if n in (*searched, *fixed)]
    ranked = found.dropna(subset=["loss"]).sort_values("loss", kind="stable")
    trials = [dict(fixed) | row for row in _rows(ranked)]
    lines, matched = [], set()
    for row in _rows(reference):
        matching = [trial for trial in trials if _matches(trial, row, common)]
        matched |= {trial["trial"] for trial in matching}
        lines.append(_line(row, matching[0] if matching else {}, names))
    others = [trial for trial in trials if trial["trial"] not in matched]
    lines += [_line({}, trial, names) for trial in others[:N_UNPUBLISHED]]
    columns = ["source", *names, *_result_columns(found, reference), "trial", "epochs", "note"]
    return pd.DataFrame(lines, columns=columns).convert_dtypes()


def condensed(frame: DataFrame) -> tuple[DataFrame, list[str]]:
    """A side-by-side table for a page, and the lines of text that belong below it.

    Hyperparameters that are the same in every row leave the table for a line; of notes the table
    keeps the numbers, and the lines say what each means.
    """
    n_named = next(i for i, name in enumerate(map(str, frame)) if name.endswith((" published", " found")))
    named = [name for name in frame.columns[1:n_named] if frame[name].notna().all() and frame[name].nunique() == 1]
    shared = named if len(frame) > 1 else []
    lines = [f"In every row: {', '.join(f'{name} {frame[name].iloc[0]}' for name in shared)}.", ""] if shared else []
    parts = [str(note).split("; ") for note in frame["note"].fillna("")]
    notes = dict.fromkeys(note for part in parts for note in part if note)
    numbers = {note: str(number) for number, note in enumerate(notes, start=1)}
    marks = [", ".join(numbers[note] for note in part if note) for part in parts]
    lines += [f"{number}. {note}" for note, number in numbers.items()]
    return frame.drop(columns=shared).assign(note=marks), lines


def _paths() -> dict[str, Path]:
    folder = files("search_spaces").joinpath("references")
    paths = [Path(str(entry)) for entry in folder.iterdir()]
    return {path.stem: path for path in paths if path.suffix == ".csv"}


def _rows(frame: DataFrame) -> list[dict[str, Any]]:
    """The rows as plain values; what is missing is left out."""
    import pandas as pd

    return [{str(key): value for key, value in row.items() if not pd.isna(value)} for row in frame.to_dict("records")]


def _matches(trial: Row, published: Row, common: Iterable[str]) -> bool:
    return all(_same(trial.get(name), published[name]) for name in common if name in published)


def _same(value: object, other: object) -> bool:
    if is_number(value) and is_number(other):
        return math.isclose(value, other, rel_tol=TOLERANCE)
    return type(value) is type(other) and value == other


def _line(published: Row, trial: Row, names: Sequence[str]) -> dict[str, Any]:
    """A row of the result, of a published row or a trial or both; what is missing is left out."""
    source = "published" if not trial else "both" if published else "found"
    line = {"source": source, "trial": trial.get("trial"), "epochs": trial.get("epochs"), "note": published.get("note")}
    line |= {name: published.get(name, trial.get(name)) for name in names}
    for name in RESULTS:
        line |= {f"{name} published": published.get(name), f"{name} found": trial.get(name)}
    if "test_accuracy" in published and "test_accuracy" in trial:
        line["test_accuracy difference"] = trial["test_accuracy"] - published["test_accuracy"]
    return line


def _result_columns(found: DataFrame, reference: DataFrame) -> Iterable[str]:
    for name in RESULTS:
        if name in reference:
            yield f"{name} published"
        if name in found or (name in reference and name != "accuracy"):
            yield f"{name} found"
        if name == "test_accuracy" and name in reference:
            yield f"{name} difference"

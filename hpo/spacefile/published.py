"""Tables of published results that come with hpo, and their comparison with the results of a study.

A table is a csv file in `search_spaces/references`. Each row is one training: its hyperparameters under the names
that hpo uses, its results as published, and a `note` if a figure is doubtful. An empty cell was not published.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import UnknownName
from hpo.space.objectives import METRICS, RESERVED_NAMES
from hpo.space.values import is_number
from hpo.trial import Scalar

if TYPE_CHECKING:
    from pandas import DataFrame

RESULTS = (*METRICS, "test_accuracy", "accuracy", "stopping_epoch")
"""The columns of a table that hold results. `accuracy` is for results whose source does not say on which part."""
N_UNMATCHED = 5
"""The most trials without a matching published row that a comparison shows."""
TOLERANCE = 1e-9
"""The relative difference up to which two numbers are equal."""

Row = Mapping[str, Any]


def names() -> list[str]:
    """The names of the published tables, sorted."""
    return sorted(_paths())


def read(name: str) -> DataFrame:
    """Read a published table. Raises UnknownName if there is none of that name."""
    import pandas as pd

    paths = _paths()
    if name not in paths:
        raise UnknownName("reference", name, paths)
    return pd.read_csv(paths[name], keep_default_na=False, na_values=[""])  # "none" is a value, not a gap


def hyperparameters(reference: DataFrame) -> list[str]:
    """The columns of a published table that describe the training."""
    return [name for name in map(str, reference) if name not in (*RESULTS, "note")]


def side_by_side(found: DataFrame, reference: DataFrame, fixed: Mapping[str, Scalar]) -> DataFrame:
    """Compare the results of a study with a published table, row by row.

    There is one row for each published row. It also holds the results of the matching trial. A trial matches if it
    agrees in every hyperparameter that both have; numbers may differ by a relative 1e-9. Of several matching trials,
    the one with the lowest loss is taken. If no trial matches, the columns of the study stay empty. Then follow up to
    five rows for the best trials that match no published row.

    Args:
        found: the table of the study's trials.
        reference: the published table.
        fixed: the values that all trials share: fixed hyperparameters and the names of the task.

    Returns a table with the columns `source` (published, found or both), the hyperparameters, `NAME published` and
    `NAME found` for each result, `test_accuracy difference` (found minus published), `trial`, `epochs` and `note`.
    """
    import pandas as pd

    searched, published = [name for name in map(str, found) if name not in RESERVED_NAMES], hyperparameters(reference)
    names, common = list(dict.fromkeys([*published, *searched])), [n for n in published if n in (*searched, *fixed)]
    ranked = found.dropna(subset=["loss"]).sort_values("loss", kind="stable")
    trials = [dict(fixed) | row for row in _rows(ranked)]
    joined, matched = [], set()
    for row in _rows(reference):
        matching = [trial for trial in trials if _matches(trial, row, common)]
        matched |= {trial["trial"] for trial in matching}
        joined.append(_joined_row(row, matching[0] if matching else {}, names))
    unmatched = [trial for trial in trials if trial["trial"] not in matched]
    joined += [_joined_row({}, trial, names) for trial in unmatched[:N_UNMATCHED]]
    columns = ["source", *names, *_result_columns(found, reference), "trial", "epochs", "note"]
    # NA instead of None, which would be the choice null.
    return pd.DataFrame(joined, columns=columns, dtype=object).fillna(pd.NA).convert_dtypes()


def condensed(frame: DataFrame) -> tuple[DataFrame, list[str]]:
    """Shorten a table of `side_by_side`, so that it fits on a page. Returns the table and the lines of text below it.

    Hyperparameters with the same value in all rows move from the table into a line of text. In the column `note`, each
    note is replaced by a number, and a line says what the number means.
    """
    import pandas as pd

    n_named = next(i for i, name in enumerate(map(str, frame)) if name.endswith((" published", " found")))
    constant = [name for name in frame.columns[1:n_named] if frame[name].notna().all() and frame[name].nunique() == 1]
    shared = constant if len(frame) > 1 else []
    lines = [f"In every row: {', '.join(f'{name} {frame[name].iloc[0]}' for name in shared)}.", ""] if shared else []
    notes_of_rows = [str(note).split("; ") for note in frame["note"].fillna("")]
    notes = dict.fromkeys(note for row_notes in notes_of_rows for note in row_notes if note)
    numbers = {note: str(number) for number, note in enumerate(notes, start=1)}
    # NA, because an empty text would be shown as "".
    marks = [", ".join(numbers[note] for note in row_notes if note) or pd.NA for row_notes in notes_of_rows]
    lines += [f"{number}. {note}" for note, number in numbers.items()]
    return frame.drop(columns=shared).assign(note=pd.Series(marks, frame.index, object)), lines


def _paths() -> dict[str, Path]:
    """The files of the published tables, by name."""
    folder = files("search_spaces").joinpath("references")
    paths = [Path(str(entry)) for entry in folder.iterdir()]
    return {path.stem: path for path in paths if path.suffix == ".csv"}


def _rows(frame: DataFrame) -> list[dict[str, Any]]:
    """The rows as dictionaries, without their empty cells."""
    import pandas as pd

    return [{str(key): value for key, value in row.items() if not pd.isna(value)} for row in frame.to_dict("records")]


def _matches(trial: Row, published: Row, common: Iterable[str]) -> bool:
    """Whether a trial agrees with a published row in all common hyperparameters that the row gives."""
    return all(_is_equal(trial.get(name), published[name]) for name in common if name in published)


def _is_equal(value: object, other: object) -> bool:
    if is_number(value) and is_number(other):
        return math.isclose(value, other, rel_tol=TOLERANCE)
    return type(value) is type(other) and value == other


def _joined_row(published: Row, trial: Row, names: Sequence[str]) -> dict[str, Any]:
    """One row of the comparison. Either `published` or `trial` may be empty."""
    source = "published" if not trial else "both" if published else "found"
    row = {"source": source, "trial": trial.get("trial"), "epochs": trial.get("epochs"), "note": published.get("note")}
    row |= {name: published.get(name, trial.get(name)) for name in names}
    for name in RESULTS:
        row |= {f"{name} published": published.get(name), f"{name} found": trial.get(name)}
    if "test_accuracy" in published and "test_accuracy" in trial:
        row["test_accuracy difference"] = trial["test_accuracy"] - published["test_accuracy"]
    return row


def _result_columns(found: DataFrame, reference: DataFrame) -> Iterable[str]:
    """The result columns of the comparison. Results that neither table has are left out."""
    for name in RESULTS:
        if name in reference:
            yield f"{name} published"
        if name in found or (name in reference and name != "accuracy"):
            yield f"{name} found"
        if name == "test_accuracy" and name in reference:
            yield f"{name} difference"

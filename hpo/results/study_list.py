"""The studies in a folder, each with its state, its best trial and what it has spent."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import HpoError, UserError
from hpo.heldout.record import TestRecord
from hpo.quantities import decimal, duration
from hpo.record import STUDY_FILE, StudyFolder, is_locked

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = ("study", "state", "objective", "best", "test_accuracy", "trials", "epochs", "seconds", "problem")
TABLES = "trials.csv"


def study_list(folder: Path) -> DataFrame:
    """Return the studies in a folder, by name.

    Columns: study; state (searching, finished, cut short, tables only, unreadable); objective; best (its lowest value);
    test_accuracy (of the best tested trial); trials, epochs and seconds (of search) spent; problem (why a study cannot
    be read). What is not known is empty. The state is `tables only` in a copy without the record, such as a git clone.

    Raises a UserError if there is no such folder, or no study in it.
    """
    import pandas as pd

    if not folder.is_dir():
        raise UserError(f"--studies {folder}: there is no such folder")
    rows = [_row(path.parent) for path in sorted(folder.glob(f"*/{STUDY_FILE}"))]
    if not rows:
        raise UserError(f"there is no study in {folder}")
    types = {"best": "float64", "test_accuracy": "float64", "trials": "Int64", "epochs": "Int64", "seconds": "float64"}
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=object).astype(types)


def _row(folder: Path) -> dict[str, Any]:
    """The row of one study. A study that cannot be read has a row that says why."""
    row: dict[str, Any] = {"study": folder.name}
    try:
        study = StudyFolder.reopen(folder)
        row["objective"] = study.space.metric
        tested = next(iter(TestRecord.read(study).ranked()), None)
        row |= {"test_accuracy": tested.test_accuracy.mean} if tested else {}
        if isinstance(study.storage_location, Path) and not study.storage_location.exists():
            return row | {"state": "tables only"} | _from_tables(folder)
        return row | _from_record(study)
    except HpoError as error:
        return row | {"state": "unreadable", "problem": " ".join(str(error).split("\n"))}


def _from_record(study: StudyFolder) -> dict[str, Any]:
    with contextlib.closing(study.ledger(write=False)) as ledger:
        history, finished, seconds = ledger.history, ledger.finished, ledger.recorded
    searching = is_locked(study.folder)
    best = history.incumbent
    return {
        "state": "searching" if searching else "finished" if finished else "cut short",
        "best": best.loss if best else None,
        "trials": len(history.trials),
        "epochs": history.n_epochs,
        "seconds": round(seconds, 1),
    }


def _from_tables(folder: Path) -> dict[str, Any]:
    """What `trials.csv` says, which a clone of a study has."""
    import pandas as pd

    try:
        table = pd.read_csv(folder / TABLES)
        return {"best": table["loss"].min(), "trials": len(table), "epochs": int(table["epochs"].sum())}
    except (OSError, ValueError, KeyError):
        return {}


def list_lines(frame: DataFrame, width: int | None) -> list[str]:
    """The list as lines of text for a terminal of `width` characters; None means no limit.

    Long names are cut in the middle. If two would look the same then, each name has a line of its own. The objective
    stands above the best values, or in a column if there are several. The reasons why studies cannot be read follow.
    """
    objectives = list(frame["objective"].dropna().unique())
    common = objectives[0] if len(objectives) == 1 else ""
    several = len(objectives) > 1
    rows = [
        ("", "", *[""] * several, "best", "test", "", "", ""),
        ("study", "state", *["objective"] * several, common, "accuracy", "trials", "epochs", "time"),
    ]
    for each in frame.astype(object).where(frame.notna(), None).to_dict("records"):
        objective = [each["objective"] or ""] * several
        numbers = [decimal(each[name]) for name in ("best", "test_accuracy")]
        spent = [decimal(each[name], 0) for name in ("trials", "epochs")]
        time = "" if each["seconds"] is None else duration(each["seconds"])
        rows.append((each["study"], each["state"], *objective, *numbers, *spent, time))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if width is not None:
        others = sum(widths[1:]) + 2 * (len(widths) - 1)
        widths[0] = min(widths[0], max(12, width - others))
    lines = []
    cut = {name: _cut(name, widths[0]) for name in frame["study"]}
    on_own_line = len(set(cut.values())) < len(cut)
    for name, state, *numbers in rows:
        shown = cut.get(name, name)
        if on_own_line and shown != name:
            lines.append(name)
            shown = ""
        cells = [shown.ljust(widths[0]), state.ljust(widths[1])]
        cells += [text.rjust(size) for text, size in zip(numbers, widths[2:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    problems = frame.dropna(subset=["problem"])
    return lines + [f"{each['study']}: {each['problem']}" for each in problems.to_dict("records")]


def _cut(name: str, width: int) -> str:
    """A name of at most `width` characters: the middle of a longer one is cut, so that its end remains."""
    end = (width - 3) // 2
    return name if len(name) <= width else f"{name[: width - 3 - end]}...{name[-end:]}"

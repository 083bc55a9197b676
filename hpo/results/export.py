"""The tables in a study's folder, written after each search and each test."""

from __future__ import annotations

from hpo.record import StudyFolder, write_text
from hpo.results.comparison import compared, page
from hpo.results.rendering import render
from hpo.results.tables import table

N_BEST = 10
"""The rows of best.csv."""


def write_tables(study: StudyFolder) -> None:
    """Write trials.csv, all trials, and best.csv, the best of them, into the study's folder.

    Where its space names published numbers, comparison.csv and comparison.md, too.
    """
    frame = table(study)
    write_text(study.folder / "trials.csv", render(frame, "csv"))
    write_text(study.folder / "best.csv", render(frame.dropna(subset=["stopping_epoch"]).head(N_BEST), "csv"))
    if (beside := compared(study, frame)) is not None:
        write_text(study.folder / "comparison.csv", render(beside, "csv"))
        write_text(study.folder / "comparison.md", page(study, beside))

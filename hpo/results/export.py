"""Export of a study's tables into its folder, after each search and each test."""

from __future__ import annotations

from hpo.record import History, StudyFolder, write_text
from hpo.results.comparison import compare, page
from hpo.results.confidence_cache import cached_confidence
from hpo.results.confidence_text import with_intervals
from hpo.results.rendering import render
from hpo.results.tables import table

N_BEST = 10
"""The number of rows in best.csv."""


def write_tables(study: StudyFolder, record: tuple[History, str | None] | None = None) -> None:
    """Write trials.csv (all trials) and best.csv (the best trials) into the study's folder.

    `record` is the history and why the study ended, as `StudyFolder.history` returns them. None to read them.

    If the study's space names published results, also write comparison.csv and comparison.md.
    """
    record = study.history() if record is None else record
    frame = table(study, record)
    shown = with_intervals(frame, cached_confidence(study, record[0])[0])
    write_text(study.folder / "trials.csv", render(shown, "csv"))
    write_text(study.folder / "best.csv", render(shown.dropna(subset=["stopping_epoch"]).head(N_BEST), "csv"))
    if (comparison := compare(study, frame)) is not None:
        write_text(study.folder / "comparison.csv", render(comparison, "csv"))
        write_text(study.folder / "comparison.md", page(study, comparison))

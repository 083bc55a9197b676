"""Published numbers beside what a study found: as a table, and as a page of Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.heldout.evaluations import Evaluations
from hpo.record import StudyFolder
from hpo.results.rendering import render
from hpo.space import SearchSpace
from hpo.spacefile import references
from hpo.trial import Scalar

if TYPE_CHECKING:
    from pandas import DataFrame


def compared(study: StudyFolder, frame: DataFrame) -> DataFrame | None:
    """The published numbers that the study's space names, beside `frame`, the table of the study.

    None where the space names none; UnknownName where there is no such table. The columns are those of
    `references.side_by_side`.
    """
    if study.space.reference is None:
        return None
    return references.side_by_side(frame, references.read(study.space.reference), constants(study.space))


def page(study: StudyFolder, frame: DataFrame) -> str:
    """A comparison as a page of Markdown: the table, below it what all its rows share, and the notes by number."""
    shown, lines = references.condensed(frame)
    heading = f"# {study.name}: published ({study.space.reference}) and found"
    return "\n".join([heading, "", render(shown, "md"), _ours(study, frame), "", *lines]).rstrip() + "\n"


def _ours(study: StudyFolder, frame: DataFrame) -> str:
    """How our rows were made, as far as the columns do not say it."""
    hidden = [f"{name} {value}" for name, value in constants(study.space).items() if name not in frame]
    parts = [*hidden, f"at most {study.space.fidelity.high} epochs"]
    protocols = sorted({each.protocol for each in Evaluations.read(study).trials})
    how = f", tested by the protocol {' or '.join(protocols)}" if protocols else ", none of them tested"
    return f"Ours: {', '.join(parts)}{how}."


def constants(space: SearchSpace) -> dict[str, Scalar]:
    """What all trials of a space share: its fixed values, and under names as of hyperparameters its task."""
    task, dataset = space.task, space.task.dataset
    named = {name: value for name in ("regime", "model") if (value := getattr(task, name)) is not None}
    return {**space.fixed, **named, **({"dataset": dataset.name, **dataset.options} if dataset else {})}

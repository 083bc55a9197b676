"""Comparison of a study's results with published results, as a table and as a Markdown page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.heldout.record import TestRecord
from hpo.quantities import with_plural
from hpo.record import StudyFolder
from hpo.results.rendering import render
from hpo.space import SearchSpace
from hpo.space.objectives import own_columns
from hpo.space.values import list_as_text
from hpo.spacefile import published
from hpo.trial import Scalar

if TYPE_CHECKING:
    from pandas import DataFrame


def compare(study: StudyFolder, frame: DataFrame) -> DataFrame | None:
    """Return the published results that the study's space names, side by side with `frame`, the table of the study.

    Returns None if the space names no published results. Raises UnknownName if there is no published table of that
    name. The columns are those of `references.side_by_side`.
    """
    if study.space.reference is None:
        return None
    own = [name for name in own_columns(study.space.objective) if name in frame]
    frame = frame.drop(columns=own)  # no published table has them
    return published.side_by_side(frame, published.read(study.space.reference), shared_values(study.space))


def page(study: StudyFolder, frame: DataFrame) -> str:
    """Return a comparison as a Markdown page: the table, the values that all rows share, and the numbered notes."""
    shown, lines = published.condensed(frame)
    heading = f"# {study.name}: published ({study.space.reference}) and found"
    return "\n".join([heading, "", render(shown, "md"), _how_trained(study, frame), "", *lines]).rstrip() + "\n"


def _how_trained(study: StudyFolder, frame: DataFrame) -> str:
    """Describe how the study's own rows were trained and tested, without what the columns of `frame` already say."""
    hidden = [f"{name} {value}" for name, value in shared_values(study.space).items() if name not in frame]
    parts = [*hidden, f"at most {with_plural(study.space.fidelity.high, 'epoch')}"]
    protocols = sorted({each.protocol for each in TestRecord.read(study).trials})
    tested = f", tested by the protocol {' or '.join(protocols)}" if protocols else ", none of them tested"
    return f"Ours: {', '.join(parts)}{tested}."


def shared_values(space: SearchSpace) -> dict[str, Scalar]:
    """Return the values that all trials of a space share: its fixed hyperparameters, regime, model and data set.

    The options of the data set are included, each under its own name.
    """
    task, dataset = space.task, space.task.dataset
    plugins = {name: value for name in ("regime", "model") if (value := getattr(task, name)) is not None}
    fixed = {name: list_as_text(value) for name, value in space.fixed.items()}
    return {**fixed, **plugins, **({"dataset": dataset.name, **dataset.options} if dataset else {})}

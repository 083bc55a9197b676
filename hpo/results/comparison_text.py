"""The comparison of studies as text for a terminal and for a page."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hpo.quantities import decimal, duration
from hpo.results.image_groups import group_lines
from hpo.results.study_comparison import ObjectiveGroup, SearchedStudy, StudyComparison
from hpo.results.study_differences import Difference, RepeatedChoice


def header(group: ObjectiveGroup) -> list[str]:
    """The titles of the columns of `cells`."""
    titles = ["study", f"best {group.objective}"]
    if group.is_several and group.common_epochs:
        titles.append(f"after {group.common_epochs} epochs")
    if group.is_several and math.isfinite(group.common_value):
        titles.append(f"epochs to {group.common_value:.4f}")
    return [*titles, "test accuracy", "trials", "epochs", "time"]


def cells(group: ObjectiveGroup, each: SearchedStudy) -> list[str]:
    """The row of a study."""
    curve = each.curve
    row = [each.study.name, decimal(curve.best)]
    if group.is_several and group.common_epochs:
        row.append(decimal(curve.after(group.common_epochs)))
    if group.is_several and math.isfinite(group.common_value):
        row.append(str(curve.epochs_until(group.common_value)))
    accuracy = "" if each.tested is None else each.tested.test_accuracy.text
    return [*row, accuracy, f"{len(each.history.trials)}", f"{each.history.n_epochs}", duration(each.seconds)]


def lines(found: StudyComparison, width: int | None) -> list[str]:
    """The comparison as lines: a table for each objective, with an empty line between two of them."""
    text: list[str] = []
    for group in found.groups:
        text += ["", *_table(group, width)] if text else _table(group, width)
    return text


def _table(group: ObjectiveGroup, width: int | None) -> list[str]:
    """The studies of one objective. The table stands on its side, a column for each, if it is wider than `width`."""
    table = [header(group), *(cells(group, each) for each in group.studies)]
    text = _aligned(table, left=1)
    if width is not None and max(map(len, text)) > width:
        text = _aligned([list(column) for column in zip(*table, strict=True)], left=1)
    if width is not None and max(map(len, text)) > width:
        # Neither fits: each study has lines of its own.
        titles = table[0]
        text = [
            line
            for row in table[1:]
            for line in (row[0], *(f"  {title:<20} {cell}" for title, cell in zip(titles[1:], row[1:], strict=True)))
        ]
    return text


def sentences(found: StudyComparison) -> list[str]:
    """The differences in words, then what cannot be compared, and what "±" stands for."""
    text = [each.words for each in found.differences]
    if found.differences:
        text += _luck_sentences(found.differences)
        studies = {each.study.name: each.study for each in found.studies}
        choices = dict.fromkeys(choice for each in found.differences for choice in each.choices)
        text += dict.fromkeys(
            line for each in choices for line in group_lines(studies[each.study], each.n_groups, each.n_images)
        )
    if any(each.tested is not None and each.tested.test_accuracy.std is not None for each in found.studies):
        text.append("± is the standard deviation over seeds.")
    return [*text, *found.notes]


def _luck_sentences(differences: Sequence[Difference]) -> list[str]:
    """What luck is taken off the differences, and of which studies it stays in."""
    choices = list(dict.fromkeys(choice for each in differences for choice in each.choices))
    table = "The values of the table still hold it."
    if all(each.is_complete for each in choices):
        return [f"The luck of being the best trial, at its best epoch, is taken off these differences. {table}"]
    text = [f"The luck of being the best trial is taken off these differences. {table}"]
    if any(each.n_with_epochs for each in choices):
        where = ", ".join(map(_epoch_words, choices))
        text.append(f"The luck of the best epoch is taken off only in part: {where}.")
    else:
        text.append("The luck of the best epoch is not taken off.")
    for first, second in dict.fromkeys(each.choices for each in differences):
        if first.is_complete != second.is_complete:
            kept, other = (second, first) if first.is_complete else (first, second)
            text.append(f"It stays in {kept.study} and not in {other.study}, so {kept.study} looks better than it is.")
    return text


def _epoch_words(choice: RepeatedChoice) -> str:
    """Of how many trials of a study the luck of the best epoch is taken off."""
    n, n_with_epochs = choice.n_compared, choice.n_with_epochs
    if choice.is_complete:
        return f"in {choice.study}"
    return f"in {n_with_epochs} of {n} trials of {choice.study}" if n_with_epochs else f"not in {choice.study}"


def _aligned(rows: list[list[str]], left: int) -> list[str]:
    """Rows of cells in columns. The first `left` columns are aligned to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]

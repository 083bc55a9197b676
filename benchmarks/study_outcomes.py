"""What studies of known truth have given, and shares over many of them, for `benchmarks/honesty.py`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

CERTAIN = 3.0
"""A cell counts for the worst pessimism if its mean optimism is this many times its simulation error."""


class Outcome(NamedTuple):
    """What a study of known truth has given. All values are differences from the truth of the chosen trial."""

    recorded: float
    corrected: Sequence[float]
    """By each of `METHODS` of `benchmarks/honesty.py`."""
    error: float
    """The standard error of a single trial."""
    is_covered: bool
    is_single_covered: bool
    keeps_best: bool | None
    """None if this was not computed."""


class Cell(NamedTuple):
    """Studies of one kind."""

    n_trials: int
    n_images: int
    kind: str
    outcomes: Sequence[Outcome]


def removed(cells: Iterable[Cell], method: int) -> float:
    """The share of the optimism that a method removes, over all cells, each of the same weight in standard errors."""
    recorded, left = 0.0, 0.0
    for cell in cells:
        recorded += float(np.mean([each.recorded / each.error for each in cell.outcomes]))
        left += float(np.mean([each.corrected[method] / each.error for each in cell.outcomes]))
    return 1 - left / recorded


def worst_pessimism(cells: Sequence[Cell], method: int) -> float:
    """The largest mean pessimism of a cell as a share of its optimism, less its simulation error.

    The error is that of a one-sided 95 % limit by Student's t, corrected for the number of cells (Bonferroni): the
    largest of many uncertain numbers is large by chance. Cells without a certain optimism are left out. Below 0: no
    cell is pessimistic beyond chance.
    """
    worst = -1.0
    for cell in cells:
        recorded = np.array([each.recorded for each in cell.outcomes])
        left = np.array([each.corrected[method] for each in cell.outcomes])
        optimism, n = -recorded.mean(), len(recorded)
        if optimism > CERTAIN * recorded.std(ddof=1) / n**0.5:
            share = left.mean() / optimism
            error = (left + share * recorded).std(ddof=1) / n**0.5 / optimism  # of the ratio, by the delta method
            worst = max(worst, float(share - stats.t.isf(0.05 / len(cells), n - 1) * error))
    return worst


def share(cells: Iterable[Cell], name: str) -> float:
    """The share of the studies of which a field of the outcome is true, of those where it is known."""
    found = [getattr(each, name) for cell in cells for each in cell.outcomes]
    return float(np.mean([value for value in found if value is not None]))


def extreme_cells(cells: Sequence[Cell], name: str) -> tuple[tuple[float, Cell], tuple[float, Cell]]:
    """The lowest and the highest share of a field, each of the cell in which it is so, beyond the simulation error.

    The share of a cell is the limit of its exact interval (Clopper and Pearson 1934) that is nearer to LEVEL: the upper
    one of the lowest cell, the lower one of the highest. It is one-sided, of 95 % for all cells together (Bonferroni).
    """
    alpha = 0.05 / len(cells)
    upper, lower = [], []
    for cell in cells:
        known = [value for each in cell.outcomes if (value := getattr(each, name)) is not None]
        n, hits = len(known), sum(known)
        upper.append((1.0 if hits == n else float(stats.beta.isf(alpha, hits + 1, n - hits)), cell))
        lower.append((0.0 if hits == 0 else float(stats.beta.ppf(alpha, hits, n - hits + 1)), cell))
    return min(upper, key=lambda each: each[0]), max(lower, key=lambda each: each[0])

"""The regret of a played search after some budgets, and tables that compare searches."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

from benchmarks.problems import Problem
from hpo.record import History
from hpo.trial import Report

Run = Mapping[str, Any]
"""A line of the file of results: what was played and what came out."""
Cell = tuple[str, int]
"""The problem and the seed of a run."""


def regrets(problem: Problem, history: History, budgets: Sequence[int]) -> dict[str, float]:
    """The normalised regret after each budget, which is a number of full trainings' worth of epochs.

    The incumbent is the trial with the lowest raw value of the objective at any epoch so far. Its regret is the final
    value of its configuration without noise, where 0 is the best known of the problem and 1 the median of random
    configurations. It is 1 if no value is finite yet. The same holds for every backend.
    """
    found: dict[str, float] = {}
    lowest, incumbent, n_epochs = math.inf, None, 0
    left = sorted(budgets, reverse=True)
    for event in history.events:
        if isinstance(event, Report):
            n_epochs += 1
            if (value := history.objective_of(event)) < lowest:
                lowest, incumbent = value, event.trial
            while left and n_epochs >= left[-1] * history.high:
                found[str(left.pop())] = _regret(problem, history, incumbent)
    return found | {str(budget): _regret(problem, history, incumbent) for budget in reversed(left)}


def _regret(problem: Problem, history: History, incumbent: int | None) -> float:
    if incumbent is None:
        return 1.0
    final = problem.final(history.trials[incumbent].config)
    return (final - problem.best) / (problem.median - problem.best)


def comparison(runs: Sequence[Run], budgets: Sequence[int]) -> tuple[list[str], list[list[object]], int]:
    """Header and rows of the table of a group of problems, and the number of runs of each backend.

    Only those problems and seeds count that all backends have played.
    """
    by_backend: dict[str, dict[Cell, Run]] = {}
    for run in runs:
        by_backend.setdefault(run["backend"], {})[run["problem"], run["seed"]] = run
    cells = sorted(set.intersection(*(set(played) for played in by_backend.values())))
    header = ["backend", *(f"@{budget}" for budget in budgets), *(f"rank @{budget}" for budget in budgets)]
    header += ["ask ms: median", "95 %", "max", "tell ms an epoch"]
    ranks = {budget: _mean_ranks(by_backend, cells, str(budget)) for budget in budgets}
    rows: list[list[object]] = []
    for name, played in by_backend.items():
        row: list[object] = [name]
        row += [_mean_and_error([played[cell]["regrets"][str(budget)] for cell in cells]) for budget in budgets]
        row += [f"{ranks[budget][name]:.1f}" for budget in budgets] if cells else [""] * len(budgets)
        rows.append(row + _times([played[cell] for cell in cells]))
    return header, rows, len(cells)


def _mean_ranks(by_backend: Mapping[str, Mapping[Cell, Run]], cells: Sequence[Cell], budget: str) -> dict[str, float]:
    """The mean rank of each backend over the cells. Equal regrets share their ranks."""
    table = [[played[cell]["regrets"][budget] for played in by_backend.values()] for cell in cells]
    means = rankdata(np.array(table), axis=1).mean(axis=0) if table else [math.nan] * len(by_backend)
    return dict(zip(by_backend, map(float, means), strict=True))


def _mean_and_error(values: Sequence[float]) -> str:
    """The mean over runs and its standard error."""
    if not values:
        return ""
    mean = f"{statistics.fmean(values):.3f}"
    return f"{mean} ± {statistics.stdev(values) / math.sqrt(len(values)):.3f}" if len(values) > 1 else mean


def _times(runs: Sequence[Run]) -> list[object]:
    asks = np.array([ms for run in runs for ms in run["ask_ms"]])
    if not len(asks):
        return [""] * 4
    median, most = np.percentile(asks, [50, 95])
    tells = sum(run["tell_ms"] for run in runs) / sum(run["epochs"] for run in runs)
    return [float(median), float(most), float(asks.max()), tells]

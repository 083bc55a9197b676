"""How long `freeze_thaw` takes for an `ask` late in a search: the CPU time of the last asks of long searches.

    python benchmarks/ask_times.py [--dimensions 7 15] [--reports 3700] [--trials 2000] [--last 250] [--quick]

Each search is played by the real backend in simulated time, with one slot and one thread, on Hartmann's function in so
many dimensions with curves that cross (`benchmarks/synthetic_curves.py`).

- One search of 52 epochs a trial ends after `--reports` reports: about 71 full trainings, with some 200 to 300 trials.
- One of 9 epochs a trial ends as soon as `--trials` trials have begun.

The table shows the last `--last` asks of each. The kernel is fitted again at least every 200 observations,
and a step gives one or more, so there is a fit among 250 asks; the largest time is that of such an ask. The time is CPU
time, which processes beside it lengthen less than the time of the clock.
"""

from __future__ import annotations

if __name__ == "__main__":
    import benchmarks.one_thread  # noqa: F401  # before numpy

import argparse
import sys
from collections.abc import Iterator

import numpy as np

from benchmarks import problems
from benchmarks.clocked import clocked
from benchmarks.report import apart, block, machine, note, verdict
from hpo.loop.simulation import play_trials
from hpo.record import Budget
from hpo.runners._known_trials import Curves, KnownCurves

EPOCHS, SHORT_EPOCHS = 52, 9
"""The epochs of a full training in the search of many reports, and in that of many trials."""
LIMITS = {"median": 60.0, "95 %": 300.0, "max": 1000.0}
"""The milliseconds under which the asks after many reports are to stay."""


def played(name: str, reports: int | None, trials: int) -> tuple[int, int, list[float]]:
    """A search on a problem until it has so many reports or trials: its trials, its reports, the times of its asks."""
    problem = problems.problem(name, seed=0)
    backend = clocked("freeze_thaw", problem.space, 0)
    history = play_trials(
        backend,
        problem.space,
        Curves(problem.space, KnownCurves(problem.curve)),
        budget=Budget(epochs=reports),
        until=lambda so_far, report: len(so_far.trials) >= trials,
    )
    return len(history.trials), history.n_epochs, backend.ask_ms


def searches(typed: argparse.Namespace) -> Iterator[tuple[int, str, int | None, int]]:
    """The dimensions, the problem, the largest number of reports and that of trials of each search."""
    for dimensions in typed.dimensions:
        problem = f"hart6in{dimensions}-crossing"
        if typed.reports:
            yield dimensions, f"{problem}@{EPOCHS}", typed.reports, sys.maxsize
        if typed.trials:
            yield dimensions, f"{problem}@{SHORT_EPOCHS}", None, typed.trials


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description="How long an ask of freeze_thaw takes late in a search.")
    parser.add_argument("--dimensions", type=int, nargs="+", default=[7, 15], help="the numbers of hyperparameters")
    parser.add_argument("--reports", type=int, default=3_700, help="0 leaves this search out")
    parser.add_argument("--trials", type=int, default=2_000, help="0 leaves this search out")
    parser.add_argument("--last", type=int, default=250, help="the number of asks that are shown")
    parser.add_argument("--quick", action="store_true", help="a tiny size: a smoke test, no measurement")
    if "--quick" in sys.argv:
        parser.set_defaults(dimensions=[7], reports=200, trials=20, last=10)
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    typed, begun = arguments(), machine()
    header = ["hyperparameters", "epochs a trial", "trials", "reports", "asks", "median ms", "95 % ms", "max ms"]
    rows: list[list[object]] = []
    lines = []
    for dimensions, problem, reports, trials in searches(typed):
        note(f"{problem}, until {f'{reports} reports' if reports else f'{trials} trials'}")
        n_trials, n_reports, times = apart(played, problem, reports, trials)
        last = np.array(times[-typed.last :])
        shown = dict(zip(LIMITS, map(float, [*np.percentile(last, [50, 95]), last.max()]), strict=True))
        rows.append([dimensions, int(problem.partition("@")[2]), n_trials, n_reports, len(last), *shown.values()])
        what = f"{dimensions} hyperparameters, {n_trials:,} trials, {n_reports:,} reports"
        for name in LIMITS if reports else ("max",):
            lines.append(verdict(f"{what}: {name} {shown[name]:.0f} ms", shown[name], LIMITS[name], "ms"))
    print(block("An ask of freeze_thaw late in a search", begun, header, rows, lines))


if __name__ == "__main__":
    main()

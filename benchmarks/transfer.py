"""What an earlier study is worth: freeze_thaw with and without the trials of a search on another task.

    python benchmarks/transfer.py [--pairs SOURCE:TARGET ...] [--seeds 2] [--trainings 20] [--source-trainings 20]
                                  [--processes 1] [--results FILE] [--show] [--quick]

For each pair, freeze_thaw searches the source for 20 full trainings' worth of epochs. Then it searches the target for
as many, or for `--trainings`: without the source, with it (`hpo search --from`), and with the source inverted. Then
each value v counts as 1 / v, so the source orders all configurations the wrong way round.

By default the pairs are those of LCBench's data sets for development (`benchmarks/lcbench.py`): each of the first
twelve is a target, and its source in turns the nearest, the middle and the farthest of the others, by the rank
correlation of the final values of 300 random configurations. The rows of the table are these groups. A pair of your own
names two problems of `benchmarks/problems.py` with the same hyperparameters.

The tables show the mean normalised regret of the configuration with the lowest value seen, as in `search_quality.py`,
and the mean difference from the search without the source, with its standard error over runs: below 0 helps.

Each pair and seed is one line of the file of results, and only those that it lacks are played.
"""

from __future__ import annotations

if __name__ == "__main__":
    import benchmarks.one_thread  # noqa: F401  # before numpy

import argparse
import multiprocessing
import random
import statistics
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import spearmanr

from benchmarks import lcbench, problems
from benchmarks.plays import add_line, lines
from benchmarks.regrets import regrets
from benchmarks.report import block, machine, note
from hpo.loop import build_backend
from hpo.loop.earlier_study import learnt_from_history
from hpo.loop.simulation import play
from hpo.record import Settings
from hpo.trial import EarlierStudy

BUDGETS = (2, 5, 10, 20)
"""The budgets at which regrets are taken, in full trainings."""
WITHOUT, FROM, INVERTED = "without", "from", "from, inverted"
GROUPS = ("nearest", "middle", "farthest")
N_TARGETS = 12
N_CONFIGURATIONS = 300
"""The number of random configurations by whose final values two problems are compared."""
SOURCE_SEED = 100
"""The seed of the search of a source is this, plus the seed of that of the target."""


class Run(NamedTuple):
    """A pair of problems with a seed."""

    source: str
    target: str
    group: str
    correlation: float
    seed: int
    trainings: int
    """The budget of the search of the target, in full trainings."""
    source_trainings: int
    """The budget of the search of the source."""

    @property
    def key(self) -> tuple[object, ...]:
        return self.source, self.target, self.seed, self.trainings, self.source_trainings


def played(run: Run) -> dict[str, Any]:
    """Search the source, then the target in three ways. Returns a line of the results."""
    warnings.simplefilter("ignore")
    problem = problems.problem(run.source, seed=run.seed)
    settings = Settings("freeze_thaw", seed=SOURCE_SEED + run.seed)
    epochs = run.source_trainings * problem.space.fidelity.high
    history = play(build_backend(problem.space, settings), problem.space, problem.curve, epochs=epochs)
    earlier = learnt_from_history(run.source, problem.space, history, problems.problem(run.target, seed=0).space)
    trials = [replace(trial, values={at: 1 / v for at, v in trial.values.items()}) for trial in earlier.trials]
    found = {
        WITHOUT: searched(run, None),
        FROM: searched(run, earlier),
        INVERTED: searched(run, replace(earlier, trials=tuple(trials))),
    }
    return run._asdict() | {"regrets": found}


def searched(run: Run, earlier: EarlierStudy | None) -> dict[str, float]:
    """The regrets of a search of the target, by budget."""
    problem = problems.problem(run.target, seed=run.seed)
    backend = build_backend(problem.space, Settings("freeze_thaw", seed=run.seed), earlier)
    history = play(backend, problem.space, problem.curve, epochs=run.trainings * problem.space.fidelity.high)
    return regrets(problem, history, [budget for budget in BUDGETS if budget <= run.trainings])


@lru_cache(maxsize=64)
def finals(name: str) -> tuple[float, ...]:
    """The final values of random configurations, the same for all problems with the same space."""
    problem, rng = problems.problem(name, seed=0), random.Random(0)
    return tuple(problem.final(problem.space.sample(rng)) for _ in range(N_CONFIGURATIONS))


def correlation(a: str, b: str) -> float:
    """The rank correlation of the final values of two problems."""
    return float(spearmanr(finals(a), finals(b)).statistic)


def lcbench_pairs() -> Iterator[tuple[str, str, str]]:
    """The source, the target and the group of each pair of data sets for development."""
    names = lcbench.instances(held_out=False)
    for index, target in enumerate(names[:N_TARGETS]):
        others = sorted((name for name in names if name != target), key=lambda name: -correlation(name, target))
        group = GROUPS[index % len(GROUPS)]
        yield others[{"nearest": 0, "middle": len(others) // 2, "farthest": -1}[group]], target, group


def tables(results: Sequence[dict[str, Any]], begun: str) -> Iterator[str]:
    """A table for each number of trainings."""
    for trainings in dict.fromkeys(line["trainings"] for line in results):
        runs = [line for line in results if line["trainings"] == trainings]
        budgets = [budget for budget in BUDGETS if budget <= trainings]
        header = ["pairs", "correlation", "runs", "search", *(f"@{budget}" for budget in budgets)]
        rows = []
        for group in [*dict.fromkeys(line["group"] for line in runs), "all"]:
            chosen = [line for line in runs if group in (line["group"], "all")]
            by = statistics.fmean(line["correlation"] for line in chosen)
            for way in (WITHOUT, FROM, INVERTED):
                cells = [_cell(chosen, way, str(budget)) for budget in budgets]
                rows.append([group, f"{by:.2f}", len(chosen), way, *cells])
        yield block(f"What an earlier study is worth, {trainings} trainings", begun, header, rows, [])


def _cell(runs: Sequence[dict[str, Any]], way: str, budget: str) -> str:
    """The mean regret, and the mean difference from the search without a source, with its standard error."""
    values = np.array([line["regrets"][way][budget] for line in runs])
    if way == WITHOUT:
        return f"{values.mean():.3f}"
    gaps = values - [line["regrets"][WITHOUT][budget] for line in runs]
    error = f" ± {gaps.std(ddof=1) / np.sqrt(len(gaps)):.3f}" if len(gaps) > 1 else ""
    return f"{values.mean():.3f} ({gaps.mean():+.3f}{error})"


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description="What an earlier study is worth for a search.")
    parser.add_argument("--pairs", nargs="+", metavar="SOURCE:TARGET", help="pairs of problems; LCBench's by default")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--trainings", type=int, default=20)
    parser.add_argument("--source-trainings", type=int, default=20)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--results", type=Path, default=Path("transfer.jsonl"))
    parser.add_argument("--show", action="store_true", help="play nothing, show what the file of results has")
    parser.add_argument("--quick", action="store_true", help="a tiny size: a smoke test, no measurement")
    if "--quick" in sys.argv:
        parser.set_defaults(pairs=["branin-crossing@5:branin-noisy@5"], seeds=2, trainings=2, source_trainings=2)
    return parser.parse_args()


def all_wanted(typed: argparse.Namespace) -> Iterator[Run]:
    """All runs, those with the same seed one after another."""
    pairs = list(lcbench_pairs()) if typed.pairs is None else [(*pair.split(":"), "given") for pair in typed.pairs]
    for seed in range(typed.seeds):
        for source, target, group in pairs:
            yield Run(source, target, group, correlation(source, target), seed, typed.trainings, typed.source_trainings)


def main() -> None:
    """Play what is lacking, and print."""
    typed = arguments()
    begun = machine()
    keys = [Run(*(line[field] for field in Run._fields)).key for line in lines(typed.results)]
    lacking = [] if typed.show else [run for run in all_wanted(typed) if run.key not in keys]
    with ProcessPoolExecutor(typed.processes, multiprocessing.get_context("spawn")) as pool:
        begun_runs = {pool.submit(played, run): run for run in lacking}
        for n, future in enumerate(as_completed(begun_runs), start=1):
            line = future.result()
            add_line(typed.results, line)
            note(f"{n}/{len(lacking)} {line['source']} to {line['target']}, seed {line['seed']}")
    for table in tables(lines(typed.results), begun):
        print(table, end="\n\n")


if __name__ == "__main__":
    main()

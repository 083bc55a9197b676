"""What the key `prior:` is worth: searches by `freeze_thaw` with a good prior, with a wrong one and without one.

    python benchmarks/priors.py [--every 2] [--seeds 2] [--trainings 20] [--processes 2] [--results FILE] [--show]
                                [--quick]

They are played in simulated time on the data sets of LCBench that are for development (`benchmarks/lcbench.py`). 2,000
random configurations are drawn for each data set, and ordered by their values after the last epoch.

- The good prior is centred near the best of them, and the bad one near the one that is worse than 90 % of them.
- The user errs: each hyperparameter's centre is moved by a normal number of its own, with a deviation of `ERROR` of its
  range, another one for each seed. Each width is `WIDTH` of the range. Both are measured on the scale of the range.

The tables are those of `benchmarks/search_quality.py`, which says what they show. Each run is a line of the file of
results, and runs that the file has are not played again.
"""

from __future__ import annotations

if __name__ == "__main__":
    import benchmarks.one_thread  # noqa: F401  # before numpy

import argparse
import math
import multiprocessing
import random
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import lcbench, problems
from benchmarks.clocked import clocked
from benchmarks.plays import BUDGETS, add_line, lines
from benchmarks.regrets import comparison, regrets
from benchmarks.report import block, machine, note
from hpo.loop.simulation import play
from hpo.space import Float, Int, SearchSpace
from hpo.trial import Config

KINDS = ("no prior", "good prior", "bad prior")
N_DRAWN = 2_000
"""The number of random configurations among which the centres are chosen."""
WORSE_THAN = 0.9
"""The configuration of the bad prior is worse than this share of them."""
ERROR, WIDTH = 0.1, 0.15
"""The deviation of the error of each centre, and the width of each prior, in lengths of the range."""


def with_priors(space: SearchSpace, around: Config, rng: np.random.Generator) -> SearchSpace:
    """The space with a prior for each range, centred near the configuration `around`."""
    return replace(
        space, domains={name: _with_prior(domain, around[name], rng) for name, domain in space.domains.items()}
    )


def _with_prior(domain: Any, value: Any, rng: np.random.Generator) -> Float | Int:
    """A range with a prior near a value."""
    scale, back = (math.log, math.exp) if domain.log else (float, float)
    low, high = scale(domain.low), scale(domain.high)
    centre = back(min(max(scale(value) + ERROR * (high - low) * float(rng.standard_normal()), low), high))
    prior = {"centre": min(max(centre, domain.low), domain.high), "width": back(WIDTH * (high - low))}
    changed: Float | Int = replace(domain, prior=prior)
    return changed


def played(name: str, kind: str, seed: int, trainings: int) -> dict[str, Any]:
    """Play one search, and return its line of the results."""
    problem = problems.problem(name, seed=seed)
    space = problem.space
    if kind != "no prior":
        draw = random.Random(0)
        drawn = sorted((space.sample(draw) for _ in range(N_DRAWN)), key=problem.final)
        around = drawn[0 if kind == "good prior" else int(WORSE_THAN * N_DRAWN)]
        space = with_priors(space, around, np.random.default_rng([seed, KINDS.index(kind)]))
    backend = clocked("freeze_thaw", space, seed)
    history = play(backend, space, problem.curve, epochs=trainings * space.fidelity.high)
    return {
        "problem": name,
        "backend": kind,
        "seed": seed,
        "trainings": trainings,
        "regrets": regrets(problem, history, [budget for budget in BUDGETS if budget <= trainings]),
        "epochs": history.n_epochs,
        "ask_ms": [round(ms, 3) for ms in backend.ask_ms],
        "tell_ms": round(backend.tell_ms, 3),
    }


def play_all(typed: argparse.Namespace) -> list[dict[str, Any]]:
    """Play the runs that the file of results lacks, unless --show, and return the lines of all that are there."""
    names = problems.Choice(typed.problems, typed.every).expanded()
    wanted = [(name, kind, seed, typed.trainings) for seed in range(typed.seeds) for name in names for kind in KINDS]
    found = {_key(line): line for line in lines(typed.results)}
    missing = [] if typed.show else [run for run in wanted if run not in found]
    with ProcessPoolExecutor(typed.processes, multiprocessing.get_context("spawn")) as pool:
        for n, future in enumerate(as_completed([pool.submit(played, *run) for run in missing]), start=1):
            line = future.result()
            add_line(typed.results, line)
            found[_key(line)] = line
            note(f"{n}/{len(missing)} {line['problem']} seed {line['seed']}, {line['backend']}: {line['regrets']}")
    return [found[run] for run in wanted if run in found]


def _key(line: dict[str, Any]) -> tuple[Any, ...]:
    return line["problem"], line["backend"], line["seed"], line["trainings"]


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description="What a prior is worth to a search by freeze_thaw.")
    parser.add_argument("--every", type=int, default=2, help="take only every so many data sets")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--trainings", type=int, default=20)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--results", type=Path, default=Path("priors.jsonl"))
    parser.add_argument("--show", action="store_true", help="play nothing, show what the file of results has")
    parser.add_argument("--quick", action="store_true", help="a tiny size on synthetic curves: a smoke test")
    parser.set_defaults(problems=["lcbench"])
    if "--quick" in sys.argv:
        results = Path(tempfile.mkdtemp()) / "priors.jsonl"
        parser.set_defaults(problems=["branin-crossing@5"], seeds=2, trainings=5, results=results)
    return parser.parse_args()


def main() -> None:
    """Play what is lacking, and print."""
    typed, begun = arguments(), machine()
    if typed.problems == ["lcbench"] and not lcbench.folder().is_dir():
        print("not measured: the folder `lcbench` of YAHPO Gym is needed in $HPO_DATA")
        return
    runs = play_all(typed)
    budgets = [budget for budget in BUDGETS if budget <= typed.trainings]
    header, rows, n = comparison(runs, budgets)
    shown = slice(0, 1 + len(budgets))  # neither ranks nor times
    words = f"{n} searches of each kind; regrets with standard errors, after so many full trainings"
    title = "What a prior is worth to freeze_thaw"
    print(block(title, begun, ["search", *header[shown][1:]], [row[shown] for row in rows], [words]))


if __name__ == "__main__":
    main()

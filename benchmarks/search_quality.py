"""How good searches are: any backends side by side, on curves that are known, in simulated time.

    python benchmarks/search_quality.py [--problems lcbench synthetic tables ...] [--backends ...] [--seeds 3]
                                        [--slots 1] [--trainings 50] [--noise 0] [--processes 2] [--every N]
                                        [--results FILE] [--label TEXT] [--show] [--held-out] [--quick]

A backend is any name that `hpo search --backend` takes, with its options: `optuna:sampler=gp,pruner=none`. By default
all of hpo's model-based ones are played, and beside them the libraries by themselves (`benchmarks.optuna_alone`, ...).

What they are played on, each described in its file:

- `lcbench`: a surrogate of real learning curves (`benchmarks/lcbench.py`), where `$HPO_DATA` has it. The data sets of
  `lcbench-held-out` are for judging only: `--held-out` allows them. `--noise 0.05` multiplies each value by
  exp(0.05 z), with z standard normal. Measured by `benchmarks/curve_noise.py` on random configurations, the median
  over trials is 0.046 for `digits_cnn` (16 trials, quartiles 0.037 and 0.129) and 0.005 for linear probes on
  Caltech-101 (78 trials, quartiles 0.002 and 0.014).
- `synthetic`: test functions, with curves that help or harm (`benchmarks/synthetic_curves.py`)
- `tables`: recorded curves of real trainings (`benchmarks/recorded_curves.py`)

The budget is counted in full trainings' worth of epochs. The tables show the normalised regret of the configuration
with the lowest value seen at any epoch so far: its value after the last epoch, without noise, where 0 is the best
known of the problem and 1 the median of random configurations. Then the mean rank among the backends, and the CPU
milliseconds of an `ask`. Errors are standard errors over runs.

Each run is one line of the file of results, so a benchmark that was interrupted goes on where it was: it plays only
the runs that the file lacks. `--label` marks the backends of this call, to compare two versions of one. All of it takes
many hours; `--every 4 --seeds 1 --trainings 20` is a first look.
"""

from __future__ import annotations

if __name__ == "__main__":
    import benchmarks.one_thread  # noqa: F401  # before numpy

import argparse
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import lcbench, problems
from benchmarks.plays import BUDGETS, Wanted, key_of, lines, play_all
from benchmarks.regrets import comparison
from benchmarks.report import block, machine
from hpo import plugins
from hpo.errors import UserError

OURS = ("freeze_thaw", "optuna", "optuna:sampler=gp,pruner=none", "asha", "bohb", "random")
"""The backends of hpo that are played by default, as far as they are there."""
ALONE = (
    "benchmarks.optuna_alone",
    "benchmarks.optuna_alone:sampler=gp,pruner=none",
    "benchmarks.ray_alone",
    "benchmarks.hpbandster_alone",
)
"""The libraries by themselves: Optuna (TPE and Hyperband; its GP at full fidelity), Ray's ASHA, HpBandSter's BOHB."""


def tables(results: Iterable[dict[str, Any]], begun: str) -> Iterator[str]:
    """A table for each group of problems, number of slots and size of the noise."""
    groups: dict[tuple[str, int, float, int], list[dict[str, Any]]] = {}
    for line in results:
        group = line["problem"].partition("/")[0]
        groups.setdefault((group, line["slots"], line["noise"], line["trainings"]), []).append(line)
    for (group, slots, noise, trainings), runs in groups.items():
        header, rows, n = comparison(runs, [budget for budget in BUDGETS if budget <= trainings])
        title = f"{group}, {slots} slot{'s' * (slots != 1)}" + (f", noise {noise:g}" if noise else "")
        yield block(title, begun, header, rows, [f"{n} runs of each backend, {trainings} trainings"])


def default_backends() -> list[str]:
    """The backends of hpo, then the libraries by themselves."""
    known = plugins.names("hpo.backends")
    return [*(name for name in OURS if name.partition(":")[0] in known), *ALONE]


def default_problems() -> list[str]:
    """All groups, LCBench only where its files are there."""
    return [*(["lcbench"] if lcbench.folder().is_dir() else []), "synthetic", "tables"]


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description="How good searches are, on curves that are known.")
    parser.add_argument("--problems", nargs="+", default=default_problems(), help="groups, or single problems")
    parser.add_argument("--every", type=int, default=1, help="take only every so many problems of a group")
    parser.add_argument("--backends", nargs="+", default=default_backends(), help="name:option=value,option=value")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--slots", type=int, nargs="+", default=[1])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0])
    parser.add_argument("--trainings", type=int, default=50)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--results", type=Path, default=Path("search_quality.jsonl"))
    parser.add_argument("--label", default="", help="marks the backends of this call in the results")
    parser.add_argument("--show", action="store_true", help="play nothing, show what the file of results has")
    parser.add_argument("--held-out", action="store_true", help="allow the data sets that are for judging only")
    parser.add_argument("--quick", action="store_true", help="a tiny size: a smoke test, no measurement")
    if "--quick" in sys.argv:
        parser.set_defaults(problems=["branin-crossing@5"], backends=["random", "asha"], seeds=2, trainings=5)
    return parser.parse_args()


def all_wanted(typed: argparse.Namespace, names: Sequence[str]) -> Iterator[Wanted]:
    """All runs, those with the same seed one after another. Only LCBench has the noise of `--noise`."""
    for seed in range(typed.seeds):
        for problem in names:
            noises = typed.noise if problem.startswith("lcbench/") else [0.0]
            for slots, noise, backend in itertools.product(typed.slots, noises, typed.backends):
                yield Wanted(problem, backend, seed, slots, noise, typed.trainings, typed.label)


def main() -> None:
    """Play what is lacking, and print."""
    typed = arguments()
    begun = machine()
    try:
        names = problems.Choice(typed.problems, typed.every, typed.held_out).expanded()
    except UserError as error:
        sys.exit(f"error: {error}")
    wanted = list(dict.fromkeys(all_wanted(typed, names)))
    done = {key_of(line) for line in lines(typed.results)}
    lacking = [] if typed.show else [run for run in wanted if run.key not in done]
    good = play_all(lacking, typed.results, typed.processes)
    keys = {run.key for run in wanted}
    for table in tables((line for line in lines(typed.results) if key_of(line) in keys), begun):
        print(table, end="\n\n")
    if not good:
        sys.exit(1)


if __name__ == "__main__":
    main()

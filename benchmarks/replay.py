"""How long a resume takes beside the search, for each backend.

    python benchmarks/replay.py [--trials 1000] [--long 10000] [--backends ...] [--quick]

- Replay and search: the same asks and tells, nothing recorded and nothing trained: first as in a search, then as
  `hpo resume` repeats them.
- Long replays: as a search of so many trials by a model takes hours, only those configurations are computed that the
  replay checks. The others are random, and the backend takes them as it takes those of a record.

Every trial makes nine reports, with rungs at 1, 3 and 9, unless it is stopped.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Mapping, Sequence

from benchmarks import free
from benchmarks.report import apart, block, machine, note, verdict
from hpo.backends._backend import Backend
from hpo.loop.backend_building import build_backend
from hpo.loop.replay import Asks
from hpo.record import Settings
from hpo.space import Fidelity
from hpo.trial import Decision, Report, Scalar, Suggestion

BACKENDS: Mapping[str, tuple[str, Mapping[str, Scalar]]] = {
    "optuna, tpe": ("optuna", {}),
    "optuna, gp": ("optuna", {"sampler": "gp"}),
    "optuna, cmaes": ("optuna", {"sampler": "cmaes"}),
    "optuna, qmc": ("optuna", {"sampler": "qmc"}),
    "optuna, random, median": ("optuna", {"sampler": "random", "pruner": "median"}),
    "asha": ("asha", {}),
    "asha, tpe": ("asha", {"searcher": "tpe"}),
    "bohb": ("bohb", {}),
    "random": ("random", {}),
    "grid": ("grid", {}),
}
N_GP = 60
"""The number of trials by `gp`, whose configurations take seconds to compute. It has no long replay."""
LIMIT = 5.0
"""Seconds that a replay may take."""
LONG_LIMIT = 60.0
"""Seconds that a long replay may take."""
SPACE = free.space(Fidelity(free.EPOCHS))
Step = Suggestion | Report


def backend_of(name: str) -> Backend:
    """A new backend."""
    module, options = BACKENDS[name]
    return build_backend(SPACE, Settings(backend=module, options=dict(options), seed=0))


def search(name: str, trials: int, *, fills: bool) -> tuple[float, list[Step]]:
    """Seconds of a search without training, one trial at a time, and what was asked and told.

    With `fills`, only those configurations are computed that a replay of so many calls may check.
    """
    backend, rng, steps, epochs = backend_of(name), random.Random(0), list[Step](), dict[int, int]()
    asks = Asks(backend, SPACE, trials, seconds=math.inf)
    started = time.perf_counter()
    while len(epochs) < trials:
        filler = Suggestion(len(epochs), SPACE.sample(rng), free.EPOCHS)
        answer = asks.repeat(filler) if fills else backend.ask()
        if not isinstance(answer, Suggestion):
            break
        steps.append(answer)
        for epoch in range(epochs.setdefault(answer.trial, 0) + 1, answer.until + 1):
            loss = free.loss_at(float(answer.config["x"]), epoch)  # type: ignore[arg-type]
            report = Report(answer.trial, epoch, loss, {"val_loss": loss}, 0.0)
            steps.append(report)
            epochs[answer.trial] = epoch
            if backend.tell(report).get(answer.trial, Decision.CONTINUE) is not Decision.CONTINUE:
                break
    return time.perf_counter() - started, steps


def replayed(name: str, trials: int, fills: bool) -> tuple[int, float, float]:
    """The number of trials, and the seconds of the search and of its replay."""
    searched, steps = search(name, trials, fills=fills)
    backend = backend_of(name)
    asks = Asks(backend, SPACE, trials if fills else sum(isinstance(step, Suggestion) for step in steps))
    started = time.perf_counter()
    for step in steps:
        if isinstance(step, Report):
            backend.tell(step)
        elif (answer := asks.repeat(step)) != step:
            raise AssertionError(f"{answer} differs from {step}")
    return len({step.trial for step in steps}), searched, time.perf_counter() - started


def replay_table(names: Sequence[str], trials: int, *, fills: bool) -> tuple[list[str], list[list[object]], list[str]]:
    """Header, rows and verdicts of the replays."""
    header = ["backend", "trials", "replay s"] + ([] if fills else ["search s", "replay / search"])
    rows: list[list[object]] = []
    worst = (0.0, "")
    for name in names:
        n = min(trials, N_GP) if "gp" in name else trials
        note(f"{name}, {n} trials")
        n_begun, searched, seconds = apart(replayed, name, n, fills)
        rows.append([name, n_begun, seconds] + ([] if fills else [searched, seconds / searched]))
        worst = max(worst, (seconds, name))
    line = verdict(
        f"a replay takes {worst[0]:.1f} s, at worst ({worst[1]})", worst[0], LONG_LIMIT if fills else LIMIT, "s"
    )
    return header, rows, [line]


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description="How long a resume takes beside the search.")
    parser.add_argument("--trials", type=int, default=1_000)
    parser.add_argument("--long", type=int, default=10_000, help="trials of the long replays")
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS), choices=list(BACKENDS))
    parser.add_argument("--quick", action="store_true", help="few trials: a smoke test, no measurement")
    if "--quick" in sys.argv:
        parser.set_defaults(trials=30, long=90)
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    typed = arguments()
    begun = machine()
    print(block("Replay and search", begun, *replay_table(typed.backends, typed.trials, fills=False)), end="\n\n")
    many = [name for name in typed.backends if "gp" not in name]
    print(block("Long replays", begun, *replay_table(many, typed.long, fills=True)))


if __name__ == "__main__":
    main()

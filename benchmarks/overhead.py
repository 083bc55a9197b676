"""What a trial costs beside its training, next to Optuna alone, Ray Tune, and HpBandSter's arithmetic.

    python benchmarks/overhead.py [--trials 200] [--repeats 2] [--quick] [--without ray growth] [--backends bohb]
    python benchmarks/overhead.py --only-storages

Every trial makes nine reports, and its training costs nothing: what is left is overhead.

- Ours: whole searches, each backend on each runner, with the journal as the ledger and a checkpoint an
  epoch. The space has one rung, the top one, and Optuna's pruner is off, so that no trial is stopped.
  What a search takes beyond its backend's own asks and tells, which are timed in it, is ours to answer for.
- Ours, backend alone: the same asks and tells, nothing recorded and nothing run.
- Ours, random, in each storage: the journal, SQLite, and PostgreSQL on this machine. The server is started
  for it, with its defaults: it syncs each commit. Without a server installed, its rows are left out.
- Optuna alone: ask, nine reports, tell, with the same samplers, in memory, in a journal file (which it
  syncs at each operation, ours once a second), in SQLite and in PostgreSQL; without checkpoints.
- Ray Tune running the trials on two cores, its start left out; without checkpoints.
- HpBandSter's model and brackets, driven without its server, told of the last report alone.

Each side runs in a process of its own, and they take turns; the least of the repeats counts, because
others who load the machine only ever add; of a search, the least beyond its sampler. `cpu` is CPU time of
the searching process alone. On processes two trials run at once: the time printed is that of the search
divided by its trials.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tabulate import tabulate

from benchmarks import others, ours
from benchmarks.ours import Cost, Growth
from benchmarks.postgresql_server import MISSING, PostgresqlServer, postgresql_server, programs
from benchmarks.report import apart, machine, note, verdict
from benchmarks.round_trips import QUERY, proxy

BACKENDS = ("optuna", "asha", "bohb", "random", "grid")
LIMITS = {"inline": 5.0, "processes": 10.0}
"""Milliseconds a trial beyond its backend that each runner may take."""
GROWTH_LIMIT = 1.5
RESUME_LIMIT = 60.0


@dataclass(frozen=True)
class Side:
    """A row of the table, and how it is measured."""

    name: str
    runner: str
    storage: str
    measure: Callable[..., Cost]
    arguments: tuple[Any, ...]
    slow: bool = False
    """Measured once, on fewer trials."""


def storage_sides(trials: int, server: PostgresqlServer | None) -> list[Side]:
    """The rows of Optuna and of our random search in each storage, Optuna's journal first."""
    few = min(trials, 30)
    optunas = [("journal", "journal", trials), ("memory", "memory", trials), ("sqlite", "sqlite", few)]
    storages: list[tuple[str, str | None]] = [("journal", None), ("sqlite", "sqlite")]
    if server is not None:
        optunas.append(("postgresql", server.url("postgres"), few))
        storages.append(("postgresql", server.url("postgres")))
    rows = [
        Side(f"Optuna alone, {sampler}", "-", name, others.optuna, (sampler, storage, n_trials), n_trials == few)
        for name, storage, n_trials in optunas
        for sampler in ("tpe", "random")
    ]
    return rows + [
        Side("ours, random", "inline", name, ours.search, ("random", "inline", trials, ours.SLOTS, 0.0, storage))
        for name, storage in storages
    ]


def sides(trials: int, ray_trials: int, backends: Sequence[str]) -> list[Side]:
    """The other rows."""
    rows: list[Side] = []
    rows += [Side(f"ours, {backend}, backend alone", "-", "-", ours.alone, (backend, trials)) for backend in backends]
    rows += [
        Side(f"ours, {backend}", runner, "journal", ours.search, (backend, runner, trials))
        for runner in LIMITS
        for backend in backends
        if (runner, backend) != ("inline", "random")  # it stands among the storages
    ]
    rows.append(Side("HpBandSter's arithmetic", "-", "-", others.hpbandster, (trials,)))
    rows += [
        Side(f"Ray Tune, {kind}", "actors", "files", others.ray_tune, (kind, ray_trials), slow=True)
        for kind in ("function", "class")
        if ray_trials
    ]
    return rows


def measure(rows: list[Side], repeats: int) -> dict[Side, Cost]:
    """The best of the repeats of each side."""
    costs: dict[Side, list[Cost]] = {side: [] for side in rows}
    for repeat in range(repeats):
        for side in rows:
            if repeat == 0 or not side.slow:
                note(f"{repeat + 1} of {repeats}: {side.name}, {side.runner}, {side.storage}")
                costs[side].append(apart(side.measure, *side.arguments))
    return {side: _least(taken) for side, taken in costs.items()}


def _least(taken: Sequence[Cost]) -> Cost:
    """The run that took the least beyond its sampler."""
    return min(taken, key=lambda cost: cost.wall - cost.sampler[0])


def table(costs: dict[Side, Cost]) -> str:
    """All rows, each beside Optuna's TPE in a journal file, ours beside their own backend too."""
    reference = next(iter(costs.values())).wall
    header = ("side", "runner", "storage", "trials", "ms/trial", "cpu", "ratio", "beyond sampler", "its cpu")
    rows = []
    for side, cost in costs.items():
        row: list[object] = [side.name, side.runner, side.storage, cost.trials, cost.wall, cost.cpu]
        extra = beyond(costs, side)
        rows.append([*row, cost.wall / reference, *((extra.wall, extra.cpu) if extra else ("", ""))])
    return tabulate(rows, header, floatfmt=".2f")


def beyond(costs: dict[Side, Cost], side: Side) -> Cost | None:
    """What one of our searches takes beyond its backend; None for any other row."""
    cost = costs[side]
    if side.measure is not ours.search:
        return None
    return Cost(cost.trials, cost.wall - cost.sampler[0], cost.cpu - cost.sampler[1])


def verdicts(costs: dict[Side, Cost], growth: Growth | None) -> list[str]:
    """A line for each target, reached or missed."""
    lines = []
    for runner, limit in LIMITS.items():
        found = [
            (extra.wall, side.name)
            for side in costs
            if (side.runner, side.storage) == (runner, "journal") and (extra := beyond(costs, side))
        ]
        if not found:
            continue
        worst = max(found)
        what = f"{runner}: {worst[0]:.2f} ms a trial beyond the sampler, at worst ({worst[1]})"
        lines.append(verdict(what, worst[0], limit, "ms"))
    return lines + (growth_verdicts(growth) if growth else [])


def storage_lines(costs: dict[Side, Cost]) -> list[str]:
    """A line for each storage: our random search beside Optuna's random sampler, which writes no checkpoints."""
    lines = []
    for storage in ("journal", "sqlite", "postgresql"):
        sides = [side for side in costs if side.storage == storage and side.name.endswith(", random")]
        found = {side.measure: costs[side] for side in sides if side.runner in ("-", "inline")}
        if len(found) == 2:
            own, its = found[ours.search], found[others.optuna]
            ratios = f"{its.wall / own.wall:.1f} times as long, {its.cpu / own.cpu:.1f} times the CPU time"
            lines.append(
                f"{storage}: ours {own.wall:.1f} ms a trial ({own.cpu:.1f} cpu), "
                f"Optuna alone {its.wall:.1f} ({its.cpu:.1f} cpu): {ratios}"
            )
    return lines


def round_trips(server: PostgresqlServer, trials: int = 5) -> str:
    """The line on the round trips to PostgreSQL, which are what a server elsewhere costs; opening is left out."""

    def of_a_trial(measured: Callable[[int, str], Cost]) -> float:
        totals = []
        for n_trials in (trials, trials, 2 * trials):  # the first creates the tables
            with proxy(server.port) as counter:
                measured(n_trials, server.url("postgres", port=counter.port) + QUERY)
                totals.append(counter.n_round_trips)
        return (totals[2] - totals[1]) / trials

    own = of_a_trial(lambda n, url: ours.search("random", "inline", n, 1, storage=url))
    optunas = of_a_trial(lambda n, url: others.optuna("random", url, n))
    ratio = f"{optunas / own:.1f} times as many"
    return f"round trips to PostgreSQL, a trial of nine epochs: ours {own:.1f}, Optuna alone {optunas:.1f}, {ratio}"


def growth_verdicts(growth: Growth) -> list[str]:
    """The lines on a long study."""
    wall, cpu = (late / early for early, late in zip(growth.early, growth.late, strict=True))
    early, late = (f"{wall:.2f} ms ({cpu:.2f} cpu)" for wall, cpu in (growth.early, growth.late))
    n = f"{growth.trials:,} trials"
    cost = f"growth: a trial takes {early} at first, {late} after {n}: {wall:.2f} times ({cpu:.2f} cpu)"
    replay = f"resume: opens and replays {n}, {growth.megabytes:.1f} MB, in {growth.resume:.1f} s"
    return [verdict(cost, wall, GROWTH_LIMIT, "times"), verdict(replay, growth.resume, RESUME_LIMIT, "s")]


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description="What a trial costs beside its training.")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--growth-trials", type=int, default=10_000)
    parser.add_argument("--ray-trials", type=int, default=20)
    parser.add_argument("--without", nargs="*", default=[], choices=("ray", "growth"))
    parser.add_argument("--backends", nargs="+", default=BACKENDS, choices=BACKENDS)
    parser.add_argument("--only-storages", action="store_true", help="only Optuna and our random search, by storage")
    parser.add_argument("--quick", action="store_true", help="few trials, once: a smoke test, no measurement")
    if "--quick" in sys.argv:
        parser.set_defaults(trials=15, repeats=1, growth_trials=120, ray_trials=4)
    return parser.parse_args()


def main() -> None:
    """Measure, print the table and the verdicts."""
    typed = arguments()
    begun = machine()
    ray_trials = 0 if "ray" in typed.without else typed.ray_trials
    lines = []
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(postgresql_server()) if programs() is not None else None
        rows = storage_sides(typed.trials, server)
        if not typed.only_storages:
            rows += sides(typed.trials, ray_trials, typed.backends)
        costs = measure(rows, typed.repeats)
        lines.append(round_trips(server) if server is not None else f"PostgreSQL was left out: {MISSING}")
    growth = None
    if "growth" not in typed.without and not typed.only_storages:
        note(f"growth over {typed.growth_trials} trials")
        growth = apart(ours.growth, typed.growth_trials)
    print(begun, table(costs), "\n".join([*verdicts(costs, growth), *storage_lines(costs), *lines]), sep="\n\n")


if __name__ == "__main__":
    main()

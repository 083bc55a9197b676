"""Finds the lowest final value of each data set of LCBench's surrogate, and the median of random configurations.

    python benchmarks/best_known.py [--seed 0]

It writes `benchmarks/lcbench_best_known.json`, from which `benchmarks/search_quality.py` scales regrets: 20,000 random
configurations; differential evolution (scipy), 150 generations of 105; then a local search from the five best of
both, 100 rounds of 100 steps whose size shrinks. Only the value after the last epoch counts, without noise.
"""

from __future__ import annotations

if __name__ == "__main__":
    import benchmarks.one_thread  # noqa: F401  # before numpy

import argparse
import json
import math
import random

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import differential_evolution

from benchmarks.lcbench import BEST_KNOWN, INPUTS, LCBench, instances
from benchmarks.report import note
from hpo.space.domains import Int

N_RANDOM = 20_000
GENERATIONS, POPULATION = 150, 15
"""Of differential evolution. The population is 15 for each dimension."""
STARTS, ROUNDS, STEPS = 5, 100, 100
"""Of the local search."""


class Cube:
    """The space of a problem as a unit cube: numbers on their scales, whole numbers rounded."""

    def __init__(self, problem: LCBench) -> None:
        self._domains = [problem.space.domains[name] for name in INPUTS]

    def values(self, cube: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points of the cube, shape (n, dimensions), as values of the hyperparameters."""
        columns = []
        for position, domain in zip(np.clip(cube, 0, 1).T, self._domains, strict=True):
            low, high = float(domain.low), float(domain.high)  # type: ignore[union-attr]
            if domain.log:  # type: ignore[union-attr]
                column = np.exp(math.log(low) + position * math.log(high / low))
            else:
                column = low + position * (high - low)
            columns.append(np.clip(np.round(column) if isinstance(domain, Int) else column, low, high))
        return np.column_stack(columns)

    def points(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The inverse of `values`."""
        columns = []
        for column, domain in zip(values.T, self._domains, strict=True):
            low, high = float(domain.low), float(domain.high)  # type: ignore[union-attr]
            scaled = np.log(column / low) / math.log(high / low) if domain.log else (column - low) / (high - low)  # type: ignore[union-attr]
            columns.append(scaled)
        return np.column_stack(columns)


def best_and_median(name: str, seed: int) -> dict[str, float]:
    """The lowest final value of a data set, and the median of random configurations."""
    problem, rng = LCBench(name), random.Random(f"best known {seed}")
    cube, steps = Cube(problem), np.random.default_rng(seed)
    sampled = [problem.space.sample(rng) for _ in range(N_RANDOM)]
    points = np.array([[config[key] for key in INPUTS] for config in sampled], float)
    finals = problem.finals(points)
    median, order = float(np.median(finals)), np.argsort(finals)[: STARTS - 1]
    evolved = differential_evolution(
        lambda x: problem.finals(cube.values(x.T)),
        [(0.0, 1.0)] * len(INPUTS),
        maxiter=GENERATIONS,
        popsize=POPULATION,
        tol=0,
        rng=steps,
        vectorized=True,
        updating="deferred",
        polish=False,
    )
    starts = [*cube.points(points[order]), evolved.x]
    return {"best": min(_local(problem, cube, start, steps) for start in starts), "median": median}


def _local(problem: LCBench, cube: Cube, start: NDArray[np.float64], rng: np.random.Generator) -> float:
    """The lowest value that steps of shrinking size from a point lead to."""
    point, lowest = start, float(problem.finals(cube.values(start[None]))[0])
    for size in np.geomspace(0.2, 0.001, ROUNDS):
        moved = rng.random((STEPS, len(point))) < 0.5
        tried = np.clip(point + moved * size * rng.standard_normal((STEPS, len(point))), 0, 1)
        finals = problem.finals(cube.values(tried))
        least = int(finals.argmin())
        if finals[least] < lowest:
            point, lowest = tried[least], float(finals[least])
    return lowest


def main() -> None:
    """Compute all, and write the file."""
    parser = argparse.ArgumentParser(description="The best known values of LCBench's surrogate.")
    parser.add_argument("--seed", type=int, default=0)
    typed = parser.parse_args()
    found = {}
    for name in sorted([*instances(held_out=False), *instances(held_out=True)]):
        found[name] = best_and_median(name, typed.seed)
        note(f"{name}: {found[name]}")
    BEST_KNOWN.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

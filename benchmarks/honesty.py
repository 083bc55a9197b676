"""Whether a study's statement on how sure it is holds: coverage of the intervals, and how much optimism is left.

    python benchmarks/honesty.py [--real] [--small] [--studies 500] [--processes 2] [--data DIR]

Many studies are made whose truth is known. In each, the best trial is chosen on the validation images, and its recorded
value, our corrected one and that of other corrections (`benchmarks/selection_corrections.py`) are compared with the
true value of the chosen model.

- Simulated (`benchmarks/simulated_studies.py`): 5 to 500 trials, 50 to 5,000 validation images, trials that differ in
  five ways and make more or less the same errors. The objective is the error or the loss.
- `--real` (`benchmarks/real_studies.py`): many searches on small training and validation parts of the digits and of
  features of Caltech-101. The truth is the error on the thousands of images that are left. Each trial has its best
  epoch chosen too, which is part of the optimism. All corrections repeat this choice, too.

What the columns mean:

- optimism: how much better the recorded value is than the truth, in standard errors of a single trial
- removed: the share of it that a correction takes off, on average. More than 100 % is pessimism.
- covered: the share of studies whose 95 % interval holds the truth: that of the chosen trial, and that of one named in
  advance
- best kept: the share of studies in which the truly best trial is among those that cannot be told apart from the best

The targets are judged in each kind of studies (cell), not over all: a cell misses one if it does so beyond its
simulation error.
"""

from __future__ import annotations

if __name__ == "__main__":
    import benchmarks.one_thread  # noqa: F401  # before numpy

import argparse
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import block, machine, note, verdict
from benchmarks.selection_corrections import NAMES, corrected_by_others
from benchmarks.simulated_studies import SHARED, TRUTHS, simulated
from benchmarks.study_outcomes import Cell, Outcome, extreme_cells, removed, share, worst_pessimism
from hpo.statistics import Interval, TrialValues, chosen, intervals_of_trials, mean_interval, not_apart

EVERY = 4
"""One of so many studies is also asked which trials cannot be told apart, which takes longer than the rest."""
N_TRIALS, N_IMAGES = (5, 20, 100, 500), (50, 200, 1_000, 5_000)
SMALL_TRIALS, SMALL_IMAGES = (5, 20), (50, 200)
N_VALUES = 6_000_000
"""The number of values of a trial for an image that are simulated in each cell, about."""
MIN_STUDIES, SMALL_STUDIES = 8, 20
"""The smallest number of studies in each cell, and the number with `--small`."""
OBJECTIVES = ("error", "loss")
METHODS = ("ours", *NAMES)


def judged(
    study: TrialValues,
    truths: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    is_share: bool,
    compares: bool = True,
) -> Outcome:
    """Choose the best row of a study, a trial or an epoch of one, and compare what is said of it with the truth.

    `truths` (n_rows,) are the true means. Of equal means, that with the lower mean of the tie breakers is chosen. With
    `compares`, it is also computed which trials cannot be told apart, each at its best epoch.
    """
    values = study.values.astype(np.float32)
    ties = None if study.tie_breakers is None else study.tie_breakers.astype(np.float32)
    means = values.mean(axis=1, dtype=np.float64)
    order = np.lexsort((np.zeros(len(means)) if ties is None else ties.mean(axis=1), means))
    best = int(order[0])
    truth = float(truths[best])
    found = chosen(study, best, rng, is_share=is_share)
    trials = np.arange(len(means)) if study.trials is None else study.trials
    at_best = order[np.unique(trials[order], return_index=True)[1]]  # the row of each trial, in their order
    single = _interval_of_first(study._replace(trials=trials), values[at_best[0]], rng.spawn(1)[0], is_share=is_share)
    corrected = [found.estimate, *corrected_by_others(values, best, rng, ties).values()]
    compared, rows = int(np.flatnonzero(at_best == best)[0]), values[at_best]
    keeps = _keeps_best(rows, truths[at_best], compared, rng, is_share=is_share) if compares else None
    return Outcome(
        recorded=float(means[best]) - truth,
        corrected=[value - truth for value in corrected],
        error=float(rows.std(axis=1).mean()) / values.shape[1] ** 0.5,
        is_covered=found.interval.low <= truth <= found.interval.high,
        is_single_covered=single.low <= truths[at_best[0]] <= single.high,
        keeps_best=keeps,
    )


def _interval_of_first(
    study: TrialValues, at_best: NDArray[np.float32], rng: np.random.Generator, *, is_share: bool
) -> Interval:
    """The interval of the first trial, named in advance. `at_best` (n_images,) are its values at its best epoch."""
    assert study.trials is not None, "the caller gives the trial of each row"
    first = study.trials[0]
    rows = study.trials == first
    ties = None if study.tie_breakers is None else study.tie_breakers[rows]
    epochs = study._replace(values=study.values[rows], tie_breakers=ties, trials=study.trials[rows])
    found = intervals_of_trials(epochs, rng, is_share=is_share).get(int(first))
    return found or mean_interval(at_best.astype(np.float64), is_share=is_share)


def _keeps_best(
    values: NDArray[np.float32],
    truths: NDArray[np.float64],
    best: int,
    rng: np.random.Generator,
    *,
    is_share: bool,
) -> bool:
    """Whether the truly best trial cannot be told apart from the chosen one. Of equal ones, the last is asked for."""
    truly_best = len(truths) - 1 - int(truths[::-1].argmin())
    return bool(not_apart(values, best, rng, is_share=is_share)[truly_best])


def simulated_cell(n_trials: int, n_images: int, truth: str, shared: float, n_studies: int) -> list[Cell]:
    """Simulate studies of one kind, and judge them by the error and by the loss."""
    rng = np.random.default_rng([n_trials, n_images, TRUTHS.index(truth), SHARED.index(shared)])
    outcomes: dict[str, list[Outcome]] = {objective: [] for objective in OBJECTIVES}
    for i in range(n_studies):
        study, compares = simulated(n_trials, n_images, truth, shared, rng), i % EVERY == 0
        errors = TrialValues(study.errors, study.losses, study.trials)
        outcomes["error"].append(judged(errors, study.true_errors, rng, is_share=True, compares=compares))
        of_losses = TrialValues(study.losses, None, study.trials)
        losses = judged(of_losses, study.true_losses, rng, is_share=False, compares=compares)
        outcomes["loss"].append(losses)
    return [Cell(n_trials, n_images, f"{objective}, {truth}", found) for objective, found in outcomes.items()]


def _named(cell: Cell) -> str:
    """What the studies of a cell are, and how many there are."""
    return f"{cell.kind}, {cell.n_trials} trials, {cell.n_images:,} images; {len(cell.outcomes)} studies"


def rows(cells: Sequence[Cell]) -> list[list[object]]:
    """A row for each number of trials and images, and objective; then one for all."""
    groups: dict[tuple[object, ...], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.kind.split(",")[0], cell.n_trials, cell.n_images), []).append(cell)
    table = [[*key, *_cells(group)] for key, group in groups.items()]
    return [*table, ["all", "", "", *_cells(cells)]]


def _cells(cells: Sequence[Cell]) -> list[object]:
    optimism = -np.mean([each.recorded / each.error for cell in cells for each in cell.outcomes])
    shares = [f"{removed(cells, method):.0%}" for method in range(len(METHODS))]
    names = ("is_covered", "is_single_covered", "keeps_best")
    return [
        sum(len(cell.outcomes) for cell in cells),
        f"{optimism:.2f}",
        *shares,
        *(f"{share(cells, name):.1%}" for name in names),
    ]


HEADER = ["objective", "trials", "images", "studies", "optimism"]
HEADER += [f"removed: {name}" for name in METHODS] + ["covered", "covered: named", "best kept"]


def lines(cells: Sequence[Cell], *, worst: bool = True) -> list[str]:
    """The verdicts, each on the cell that is farthest off, beyond its simulation error."""
    (low, lowest), (high, highest) = extreme_cells(cells, "is_covered")
    text = [
        verdict(f"lowest cell: {_share(lowest, 'is_covered')}, {_most(low)}", low, 0.93, "covered", least=True),
        verdict(
            f"highest cell: {_share(highest, 'is_covered')}, at least {high:.1%} within its simulation error",
            high,
            0.97,
            "covered",
        ),
    ]
    for name, words in (("is_single_covered", "covered: named"), ("keeps_best", "best kept")):
        (low, lowest), _ = extreme_cells(cells, name)
        said = f"{words}, lowest cell: {_share(lowest, name)}, {_most(low)}"
        text.append(verdict(said, low, 0.93, "of the studies", least=True))
    text.append(f"covered over all cells: {share(cells, 'is_covered'):.1%}")
    text.append(verdict(f"optimism removed: {removed(cells, 0):.0%}", removed(cells, 0), 0.8, "of it", least=True))
    if worst:
        pessimism = worst_pessimism(cells, 0)
        text.append(verdict(f"worst pessimism: {max(pessimism, 0):.0%}", pessimism, 0.25, "of the optimism"))
        others = ", ".join(f"{name} {max(worst_pessimism(cells, i), 0):.0%}" for i, name in enumerate(METHODS) if i)
        text.append(f"worst pessimism of the others: {others}")
    return text


def _most(limit: float) -> str:
    """The upper limit of a share in words."""
    return f"at most {limit:.1%} within its simulation error"


def _share(cell: Cell, name: str) -> str:
    """The share of a cell, as it was found."""
    return f"{share([cell], name):.1%} ({_named(cell)})"


def main() -> None:
    """Make the studies, and print a section of RESULTS.md."""
    parser = argparse.ArgumentParser(description="Whether the intervals and corrected estimates of a study hold.")
    parser.add_argument("--real", action="store_true", help="real searches instead of simulated ones")
    parser.add_argument("--small", action="store_true", help="few small studies, in seconds")
    parser.add_argument("--studies", type=int, default=500, help="studies of each kind, at most")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--data", help="the folder of the data sets, for --real; HPO_DATA by default")
    options = parser.parse_args()
    begun = machine()
    with ProcessPoolExecutor(options.processes, multiprocessing.get_context("spawn")) as pool:
        if options.real:
            from benchmarks import real_studies

            cells = real_studies.cells(pool, options.data, options.studies, small=options.small)
            title = "Real searches: the best of them on few validation images, and on all that are left"
        else:
            cells = _simulated(pool, options.studies, small=options.small)
            title = "Simulated studies of known truth"
    print(block(title, begun, HEADER, rows(cells), lines(cells, worst=not options.real)))


def _simulated(pool: ProcessPoolExecutor, at_most: int, *, small: bool) -> list[Cell]:
    """The cells of all simulated studies."""
    sizes = list(product(SMALL_TRIALS, SMALL_IMAGES) if small else product(N_TRIALS, N_IMAGES))
    waiting = []
    for (n_trials, n_images), truth, shared in product(sizes, TRUTHS, SHARED):
        n_studies = max(min(N_VALUES // (n_trials * n_images), at_most), MIN_STUDIES)
        n_studies = min(SMALL_STUDIES, at_most) if small else n_studies
        waiting.append(pool.submit(simulated_cell, n_trials, n_images, truth, shared, n_studies))
    found = []
    for i, each in enumerate(waiting):
        found += each.result()
        if (i + 1) % 16 == 0:
            note(f"{i + 1} of {len(waiting)} kinds of studies")
    return found


if __name__ == "__main__":
    main()

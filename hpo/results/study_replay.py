"""The result of `hpo replay`: the epochs that a backend needs on the curves of a study, as a table and in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from hpo.quantities import with_plural
from hpo.results.best_so_far import BestSoFar

if TYPE_CHECKING:
    from pandas import DataFrame

NEAR = 0.05
"""A value is within 5 % of the best if it is above it by at most this share of its magnitude."""
NOT_REACHED = "not reached"


@dataclass(frozen=True)
class Outcome:
    """How one search went: that of the study, or a simulated one."""

    epochs_to_best: int | None
    """The epochs, over all trials, until the best value of the study. None if it was not reached."""
    epochs_to_near: int | None
    """The epochs until a value that is within 5 % of it."""
    best: float
    """The best value after the number of epochs that is compared."""
    trials: int
    """The number of trials."""
    epochs: int
    """The number of epochs in all. A search of the replay ends when it has reached the best value."""
    n_cut: int
    """The number of trials that ended only because their recorded curve ends."""

    @classmethod
    def of(cls, curve: BestSoFar, best: float, epochs: int, *, trials: int, n_cut: int = 0) -> Outcome:
        """The outcome of a search with these values. `best` is the best value of the study, `epochs` is compared."""
        until = curve.epochs_until(best), curve.epochs_until(best + NEAR * abs(best))
        return cls(*until, curve.after(epochs), trials, curve.n_epochs, n_cut)


@dataclass(frozen=True)
class StudyReplay:
    """The replay of a study by one backend."""

    study: str
    """The name of the study."""
    recorded_backend: str
    """The backend of the study."""
    backend: str
    """The backend of the replay."""
    metric: str
    """The name of the objective."""
    best: float
    """The best value of the study."""
    high: int
    """The top rung in epochs."""
    slots: int
    """The number of trials that train at once in the replay."""
    epochs: int
    """The number of epochs after which the best values are compared."""
    limit: int | None
    """The number of epochs after which each search of the replay ended at the latest. None if there was no limit."""
    recorded: Outcome
    """How the study itself went, without its crashed trials."""
    searches: Sequence[Outcome]
    """How the replay went with the seeds 0, 1, ..."""
    n_short: int
    """The number of recorded curves that end before the top rung, though the trial did not end itself."""
    n_crashed: int
    """The number of crashed trials, which are left out."""
    n_crashed_epochs: int
    """Their epochs."""
    is_searched: bool
    """Whether the study was being searched when it was read."""

    def frame(self) -> DataFrame:
        """The study and each seed of the replay as rows.

        Columns: search ("study", or the backend), seed, epochs_to_best, epochs_to_5_percent, best, trials, epochs,
        cut_trials. What was not reached is NA, as is the seed of the study.
        """
        import pandas as pd

        rows: list[dict[str, Any]] = [
            {
                "search": "study" if seed is None else self.backend,
                "seed": seed,
                "epochs_to_best": each.epochs_to_best,
                "epochs_to_5_percent": each.epochs_to_near,
                "best": each.best,
                "trials": each.trials,
                "epochs": each.epochs,
                "cut_trials": each.n_cut,
            }
            for seed, each in [(None, self.recorded), *enumerate(self.searches)]
        ]
        types = dict.fromkeys(("seed", "epochs_to_best", "epochs_to_5_percent"), "Int64")
        types |= dict.fromkeys(("trials", "epochs", "cut_trials"), "int64") | {"search": "str", "best": "float64"}
        return pd.DataFrame(rows, dtype=object).astype(types)

    def title(self) -> str:
        """The study and what was searched, in one line."""
        recorded = self.recorded
        return (
            f"{self.study}: {with_plural(recorded.trials, 'trial')} with {with_plural(recorded.epochs, 'epoch')} by "
            f"{self.recorded_backend}; the best {self.metric} is {self.best:.4f}. Replay by {self.backend} with "
            f"{with_plural(self.slots, 'trial')} at a time"
            + (f", for at most {with_plural(self.limit, 'epoch')} in each search:" if self.limit is not None else ":")
        )

    def table(self) -> list[str]:
        """The lines of a table, at most 80 characters wide unless names are long: the study, and the replay below."""
        rows = [("as it was run", *_cells([self.recorded], min))]
        limit = self.limit
        if len(self.searches) == 1:
            rows.append((f"{self.backend}, seed 0", *_cells(self.searches, min, limit)))
        else:
            kinds: tuple[tuple[str, Callable[[list[float]], float]], ...]
            kinds = (("median", median), ("least", min), ("most", max))
            rows += [(f"{self.backend}, {word}", *_cells(self.searches, kind, limit)) for word, kind in kinds]
        header = ("", "epochs to best", "to within 5 %", f"best after {with_plural(self.epochs, 'epoch')}")
        first = max(len(row[0]) for row in rows)
        widths = list(map(len, header[1:]))
        return ["  ".join([row[0].ljust(first), *map(str.rjust, row[1:], widths)]) for row in (header, *rows)]

    def verdict(self) -> list[str]:
        """What the backend saved until the best value of the study, and how many seeds reached that value."""
        n, needed = len(self.searches), self.recorded.epochs_to_best
        found = [each.epochs_to_best for each in self.searches if each.epochs_to_best is not None]
        how = f"in the median of {n} seeds" if n > 1 else "with seed 0"
        middle = median(_numbers(each.epochs_to_best for each in self.searches))
        lines = []
        if needed is not None and middle < math.inf:
            difference = needed - middle
            share = f" ({100 * abs(difference) / needed:.0f} %)"
            how_many = f"{abs(difference):g} epoch{'s' * (abs(difference) != 1)}"
            words = f"{how_many} {'fewer' if difference > 0 else 'more'}{share} than the study"
            if difference == 0:
                words = "as many epochs as the study"
            lines.append(f"To the best value {self.backend} needed {words}, {how}.")
        missed = [each for each in self.searches if each.epochs_to_best is None]
        within = ""
        if self.limit is not None and _all_ended_at(missed, self.limit):
            within = f" within {with_plural(self.limit, 'epoch')}"
        if not found:
            study = f"; the study needed {with_plural(needed, 'epoch')}" if within and needed is not None else ""
            lines.append(f"{self.backend} did not reach the best value{within}{' with any seed' * (n > 1)}{study}.")
        elif len(found) < n:
            lines.append(
                f"{self.backend} reached the best value{within} with {len(found)} of {with_plural(n, 'seed')}."
            )
        return lines

    def caveats(self) -> list[str]:
        """What the figures leave out, and what they cannot say."""
        n = self.recorded.trials
        lines = [
            f"The replay knows the {n} recorded configurations and no other: each suggestion takes the curve of the "
            "nearest one that was not taken yet. So it compares in which order trials are trained and how long, not "
            "which configurations a backend would find."
        ]
        if self.n_short:
            cut = sorted({each.n_cut for each in self.searches})
            n_cut = f"{cut[0]} to {cut[-1]}" if len(cut) > 1 else f"{cut[0]}"
            lines.append(
                f"{self.n_short} of the {n} curves end before epoch {self.high}, because the study trained them no "
                f"further. A trial of the replay ends with its curve; {n_cut} did so"
                f"{' in each search' * (len(self.searches) > 1)}. A search that trains them further needs more "
                "epochs than the replay says."
            )
        if self.n_crashed:
            lines.append(
                f"{with_plural(self.n_crashed, 'crashed trial')}, with {with_plural(self.n_crashed_epochs, 'epoch')}, "
                "are left out, also of the study as it was run."
            )
        if self.is_searched:
            lines.append("The study is being searched: the figures are those of what was on record.")
        lines.append("The study is one search, and seeds differ by luck: a difference within their range says little.")
        return lines


def _cells(
    outcomes: Sequence[Outcome], kind: Callable[[list[float]], float], limit: int | None = None
) -> tuple[str, str, str]:
    """The cells of one row. `kind` makes one number of those of several seeds.

    The searches ended after `limit` epochs at the latest, if it is not None.
    """

    def epochs(needed: Sequence[int | None]) -> str:
        number = kind(_numbers(needed))
        if number < math.inf:
            return f"{number:g}"
        missed = [each for each, epochs in zip(outcomes, needed, strict=True) if epochs is None]
        return f"not in {limit}" if limit is not None and _all_ended_at(missed, limit) else NOT_REACHED

    best = kind([each.best for each in outcomes])
    return (
        epochs([each.epochs_to_best for each in outcomes]),
        epochs([each.epochs_to_near for each in outcomes]),
        f"{best:.4f}" if best < math.inf else NOT_REACHED,
    )


def _all_ended_at(outcomes: Iterable[Outcome], limit: int) -> bool:
    """Whether a limit of epochs ended all of these searches."""
    return all(each.epochs >= limit for each in outcomes)


def _numbers(epochs: Iterable[int | None]) -> list[float]:
    """Numbers of epochs, where inf stands for what was not reached."""
    return [math.inf if each is None else each for each in epochs]

"""The results at a rung in order, so that the cutoff of ASHA costs the same with few trials and with very many.

Ray's scheduler computes the cutoff of a rung from all its results whenever a trial reaches the rung. With 100,000
results, that takes some ten milliseconds. Here each result is inserted into a sorted list, and the cutoff is read off.
It is the same number to the last bit.
"""

from __future__ import annotations

import math
from bisect import insort
from typing import Any


class SortedResults:
    """The results of trials at a rung: a mapping that is only added to. No result may be NaN."""

    def __init__(self) -> None:
        self._trials: set[int] = set()
        self._sorted: list[float] = []

    def __contains__(self, trial: str) -> bool:
        return int(trial) in self._trials

    def __setitem__(self, trial: str, result: float) -> None:
        self._trials.add(int(trial))
        insort(self._sorted, result)

    def __len__(self) -> int:
        return len(self._sorted)

    def percentile(self, percent: float) -> float:
        """The percentile of the results, interpolated as `numpy.percentile` does. There must be a result."""
        position = (len(self._sorted) - 1) * (percent / 100)
        below = math.floor(position)
        low, high = self._sorted[below], self._sorted[min(below + 1, len(self._sorted) - 1)]
        share, distance = position - below, high - low
        # numpy interpolates from the nearer end.
        return low + distance * share if share < 0.5 else high - distance * (1 - share)


def with_sorted_rungs(bracket: type) -> type:
    """A subclass of a bracket of Ray's AsyncHyperBandScheduler whose rungs hold `SortedResults`.

    It takes the same decisions. The identifiers of trials must be whole numbers, as text.
    """

    class SortedBracket(bracket):  # type: ignore[misc]
        _rungs: list[tuple[float, Any]]

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self._rungs = [(milestone, SortedResults()) for milestone, _ in self._rungs]

        def cutoff(self, recorded: SortedResults) -> float | None:
            return recorded.percentile((1 - 1 / self.rf) * 100) if recorded else None

    return SortedBracket

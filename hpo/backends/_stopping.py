"""Backends that start every trial for full fidelity and stop the weak on the way: Optuna and ASHA.

The libraries behind them compute their rungs by a floating logarithm, and lose one. So they live in a
time of their own: our rung k is their time eta**k, and they hear of a trial at rungs only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import count
from typing import Protocol

from hpo.backends._backend import Answer
from hpo.space import Fidelity, SearchSpace
from hpo.trial import Config, Crash, Decision, Report, Suggestion

WORST = 1e300
"""Stands for an infinite loss: percentiles between infinities are NaN, and a NaN stops nobody."""


def rung_times(fidelity: Fidelity) -> dict[int, int]:
    """The library's time at each rung, by the epoch of the rung."""
    return {epoch: int(fidelity.eta**k) for k, epoch in enumerate(fidelity.rungs())}


def end_time(fidelity: Fidelity) -> int:
    """An end of the library's time from which its logarithm counts as many rungs as there are.

    Half-way from the last rung to the next, so that no rounding error moves it past either.
    """
    last = max(rung_times(fidelity).values())
    return last + last // 2


class Searcher(Protocol):
    """Draws configurations, and may learn from losses. Trials are known by their numbers."""

    def suggest(self) -> Config:
        """The configuration of the next trial."""
        ...

    def observe(self, trial: int, time: int, loss: float) -> None:
        """Take in the finite loss of a trial at a rung."""
        ...

    def end(self, trial: int, loss: float, *, stopped: bool) -> None:
        """Take in the last loss of a trial, inf for a crash; `stopped` if it was stopped at a rung."""
        ...


class Stopper(Protocol):
    """Decides at a rung whether a trial goes on."""

    def begin(self, trial: int) -> int:
        """Enter a trial; return its bracket."""
        ...

    def stops(self, trial: int, time: int, loss: float) -> bool:
        """Whether a trial with this finite loss ends at this rung; the searcher has observed it before."""
        ...

    def end(self, trial: int) -> None:
        """Forget a trial that has ended."""
        ...


class Stopping:
    """Starts what the searcher draws; at each rung the stopper says who goes on."""

    def __init__(self, space: SearchSpace, times: Mapping[int, int], searcher: Searcher, stopper: Stopper) -> None:
        self._high = space.fidelity.high
        self._times = times
        """The library's time at the epochs at which it decides."""
        self._searcher = searcher
        self._stopper = stopper
        self._numbers = count()
        self._epochs: dict[int, int] = {}
        """The last epoch of each trial that runs."""

    def ask(self, *, new: bool = True) -> Answer:
        if not new:
            return "done"
        trial = next(self._numbers)
        self._epochs[trial] = 0
        return Suggestion(trial, self._searcher.suggest(), until=self._high, bracket=self._stopper.begin(trial))

    def tell(self, event: Report | Crash) -> Mapping[int, Decision]:
        trial = event.trial
        if isinstance(event, Crash):
            self._end(trial, self._epochs[trial] + 1, math.inf)
            return {}
        loss = math.inf if math.isnan(event.loss) else event.loss
        if event.last or event.fidelity >= self._high:
            self._end(trial, event.fidelity, loss)
            return {}
        self._epochs[trial] = event.fidelity
        if event.fidelity not in self._times or not self._stopped(trial, self._times[event.fidelity], loss):
            return {}
        self._forget(trial, loss, stopped=True)
        return {trial: Decision.STOP}

    def _stopped(self, trial: int, time: int, loss: float) -> bool:
        self._searcher.observe(trial, time, min(loss, WORST))
        return self._stopper.stops(trial, time, min(loss, WORST))

    def _end(self, trial: int, epoch: int, loss: float) -> None:
        """A trial ended by itself: its loss stands at the rungs from `epoch` on, until one would have stopped it."""
        for rung, time in self._times.items():
            if rung >= epoch and self._stopped(trial, time, loss):
                break
        self._forget(trial, loss, stopped=False)

    def _forget(self, trial: int, loss: float, *, stopped: bool) -> None:
        del self._epochs[trial]
        self._stopper.end(trial)
        self._searcher.end(trial, loss, stopped=stopped)

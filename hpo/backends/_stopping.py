"""A backend that lets each trial run to the last epoch unless a pruner stops it at a rung. Optuna and ASHA use it.

The libraries behind them compute their rungs with a floating-point logarithm, and may lose a rung by rounding. So they
are told the step eta**k at rung k, not the epoch, and they see a trial only at its rungs. (Optuna's median pruner has
no rungs. It is told the epochs.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import count
from typing import Protocol

from hpo.backends._backend import Answer
from hpo.backends._configurations import Configurations
from hpo.space import Fidelity, SearchSpace
from hpo.trial import Config, Crash, Decision, Report, Suggestion, valid_loss

WORST_LOSS = 1e300
"""Replaces an infinite loss. With infinite losses a percentile can be NaN, and comparison with NaN stops no trial."""


def library_steps(fidelity: Fidelity) -> dict[int, int]:
    """The step that the library is told at each rung, by the epoch of the rung."""
    return {epoch: int(fidelity.eta**k) for k, epoch in enumerate(fidelity.rungs())}


def library_max_step(fidelity: Fidelity) -> int:
    """The library's maximum step, from which it computes the number of its rungs.

    It is 1.5 times the step of the last rung, so below that of the next one: rounding adds no rung and loses none. With
    a single rung it is 1.
    """
    last = max(library_steps(fidelity).values())
    return last + last // 2


class Searcher(Protocol):
    """Draws configurations, and may learn from losses. Trials are identified by their numbers."""

    configurations: Configurations

    def suggest(self) -> Config:
        """The configuration of the next trial: the next one of `configurations`. At least one must be left."""
        ...

    def suggest_again(self, recorded: Config) -> Config:
        """The same as `suggest`, whose answer is on record. It may be taken as given instead of being computed."""
        ...

    def observe(self, trial: int, step: int, loss: float) -> None:
        """Receive the finite loss of a trial at a rung."""
        ...

    def end(self, trial: int, loss: float, *, stopped: bool) -> None:
        """Receive the last loss of a trial, inf for a crash. `stopped` says whether it was stopped at a rung."""
        ...


class Pruner(Protocol):
    """Decides at each rung whether a trial continues."""

    def begin(self, trial: int) -> int:
        """Add a new trial, and return its bracket."""
        ...

    def stops(self, trial: int, step: int, loss: float) -> bool:
        """Whether a trial with this finite loss stops at this rung. The searcher has already observed the loss."""
        ...

    def end(self, trial: int, *, stopped: bool) -> None:
        """Remove a trial that has ended. `stopped` says whether it was stopped at a rung."""
        ...


class StoppingBackend:
    """Starts the configurations that the searcher draws. At each rung the pruner decides which trials continue."""

    def __init__(self, space: SearchSpace, steps: Mapping[int, int], searcher: Searcher, pruner: Pruner) -> None:
        """`steps` are the library's steps by epoch, for the epochs at which the pruner decides."""
        self._high = space.fidelity.high
        self._steps = steps
        self._searcher = searcher
        self.uses_priors = searcher.configurations.uses_priors
        self._pruner = pruner
        self._trial_numbers = count()
        self._last_epochs: dict[int, int] = {}
        """The last reported epoch of each running trial."""

    def ask(self, *, new: bool = True) -> Answer:
        if not new or self._searcher.configurations.are_exhausted:
            return "done"
        return self._begin(self._searcher.suggest())

    def replay(self, recorded: Suggestion) -> Answer:
        if self._searcher.configurations.are_exhausted:
            return "done"
        return self._begin(self._searcher.suggest_again(recorded.config))

    def _begin(self, config: Config) -> Suggestion:
        trial = next(self._trial_numbers)
        self._last_epochs[trial] = 0
        return Suggestion(trial, config, until=self._high, bracket=self._pruner.begin(trial))

    def enqueue(self, config: Config) -> None:
        self._searcher.configurations.enqueue(config)

    def tell(self, event: Report | Crash) -> Mapping[int, Decision]:
        trial = event.trial
        if isinstance(event, Crash):
            self._end_unstopped(trial, self._last_epochs[trial] + 1, math.inf)
            return {}
        loss = valid_loss(event.loss)
        if event.last or event.fidelity >= self._high:
            self._end_unstopped(trial, event.fidelity, loss)
            return {}
        self._last_epochs[trial] = event.fidelity
        if event.fidelity not in self._steps or not self._stops(trial, self._steps[event.fidelity], loss):
            return {}
        self._remove(trial, loss, stopped=True)
        return {trial: Decision.STOP}

    def _stops(self, trial: int, step: int, loss: float) -> bool:
        self._searcher.observe(trial, step, min(loss, WORST_LOSS))
        return self._pruner.stops(trial, step, min(loss, WORST_LOSS))

    def _end_unstopped(self, trial: int, epoch: int, loss: float) -> None:
        """End a trial that ended by itself at `epoch`.

        Its last loss is also its result at the rungs from `epoch` on, up to the first one that would have stopped it.
        So a crash counts as the worst result at the next rung.
        """
        for rung, step in self._steps.items():
            if rung >= epoch and self._stops(trial, step, loss):
                break
        self._remove(trial, loss, stopped=False)

    def _remove(self, trial: int, loss: float, *, stopped: bool) -> None:
        del self._last_epochs[trial]
        self._pruner.end(trial, stopped=stopped)
        self._searcher.end(trial, loss, stopped=stopped)

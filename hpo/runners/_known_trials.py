"""What the trials of a simulated search report: the Protocol `KnownTrials`, and trials that follow learning curves.

`hpo/loop/recorded_trials.py` has the trials of a recorded study, and `_curve_table.py` those of a table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from hpo.errors import HpoError, TaskError
from hpo.space import SearchSpace
from hpo.training.early_stopping import EarlyStopping
from hpo.training.metrics import number, short
from hpo.training.trial_run import N_REPORTS, Progress
from hpo.trial import Config, Report, Suggestion

Curve: TypeAlias = Callable[[Config, int], Mapping[str, float]]
"""The metrics of a configuration after an epoch, counted from 1. The same call must always return the same."""
Seconds: TypeAlias = Callable[[Config], float]
"""The simulated seconds of each epoch of a configuration."""

DEVICE = "simulated"
"""The device in the reports of simulated epochs."""
SECONDS = "seconds"
"""The key under which a function may give the simulated seconds of an epoch, beside the metrics."""


class KnownTrials(Protocol):
    """What the trials of a simulated search report, and how long their epochs take."""

    def seconds(self, suggestion: Suggestion, epoch: int) -> float:
        """The simulated seconds of an epoch of a trial. It is called when the epoch begins, before `report`."""
        ...

    def report(self, suggestion: Suggestion, epoch: int) -> Report:
        """The report of an epoch of a trial. An exception is a crash of the trial; a TaskError ends the search."""
        ...

    def forget(self, trial: int) -> None:
        """Is called when a trial will not go on."""
        ...


class CurveSource(Protocol):
    """The learning curves of `Curves`. The same call must always return the same."""

    def metrics(self, suggestion: Suggestion, epoch: int) -> Mapping[str, float]:
        """The metrics of a trial after an epoch, counted from 1. An exception is a crash of the trial."""
        ...

    def seconds(self, suggestion: Suggestion, epoch: int) -> float:
        """The simulated seconds of an epoch of a trial."""
        ...

    def forget(self, trial: int) -> None:
        """Is called when a trial will not go on."""
        ...


class Curves:
    """Trials whose metrics come from learning curves. They end by early stopping, as trained ones do."""

    def __init__(self, space: SearchSpace, source: CurveSource) -> None:
        self._space = space
        self._source = source
        self._progress: dict[int, tuple[Progress, EarlyStopping]] = {}
        """The reports of the trials so far, in place of checkpoints, and when each trial ends by itself."""

    def seconds(self, suggestion: Suggestion, epoch: int) -> float:
        """The time of the epoch, 0 if it was played before."""
        if suggestion.trial in self._progress and self._progress[suggestion.trial][0].epoch >= epoch:
            return 0.0
        return self._source.seconds(suggestion, epoch)

    def report(self, suggestion: Suggestion, epoch: int) -> Report:
        """The report of the epoch. Epochs before it that were not played are played first."""
        trial, config = suggestion.trial, suggestion.config
        if trial in self._progress:
            progress, rule = self._progress[trial]
        else:
            rule = EarlyStopping.read({**self._space.fixed, **config})
            progress = Progress(self._space.metric, max(N_REPORTS, rule.window or 1))
        while progress.epoch < epoch:
            if progress.ended or progress.epoch >= suggestion.until:
                on_record = f"epoch {epoch - 1} of it is on record"
                raise HpoError(f"the trial ended after epoch {progress.epoch}, but {on_record}")
            metrics = self._source.metrics(suggestion, progress.epoch + 1)
            progress.add(metrics, rule, self._source.seconds(suggestion, progress.epoch + 1), DEVICE)
        self._progress[trial] = progress, rule
        return Report(trial=trial, **next(each for each in progress.reports if each["fidelity"] == epoch))

    def forget(self, trial: int) -> None:
        self._progress.pop(trial, None)
        self._source.forget(trial)


class KnownCurves:
    """The curves of a function that is known to return metrics. It is a `CurveSource`."""

    def __init__(self, curve: Curve, seconds: float | Seconds = 1.0) -> None:
        """`seconds` is the simulated time of an epoch: a constant, or a function of the configuration."""
        self._curve = curve
        self._seconds = seconds

    def metrics(self, suggestion: Suggestion, epoch: int) -> Mapping[str, float]:
        return self._curve(suggestion.config, epoch)

    def seconds(self, suggestion: Suggestion, epoch: int) -> float:
        return self._seconds(suggestion.config) if callable(self._seconds) else self._seconds

    def forget(self, trial: int) -> None: ...


class UserCurves:
    """The metrics, and maybe seconds, that a function of the user returns. It is a `CurveSource`.

    An epoch takes 1 second by default.
    """

    def __init__(self, name: str, function: Callable[[Config, int], object]) -> None:
        """`name` is how the user named the function. Messages give it."""
        self._name = name
        self._function = function
        self._begun: dict[int, tuple[int, object]] = {}
        """For each trial, the last epoch that began, and what the function returned for it or raised."""

    def forget(self, trial: int) -> None:
        self._begun.pop(trial, None)

    def metrics(self, suggestion: Suggestion, epoch: int) -> Mapping[str, float]:
        returned = self._returned(suggestion, epoch)
        if isinstance(returned, Exception):
            raise returned
        if not isinstance(returned, Mapping):
            example = "as {'val_loss': 0.5}"
            raise TaskError(f"curves {self._name} returned {short(returned)}; it must return metrics, {example}")
        return {key: value for key, value in returned.items() if key != SECONDS}

    def seconds(self, suggestion: Suggestion, epoch: int) -> float:
        """The seconds that the function gives for an epoch. An epoch that crashes takes none."""
        returned = self._returned(suggestion, epoch)
        if not isinstance(returned, Mapping):
            return 0.0
        seconds = number(returned.get(SECONDS, 1.0))
        if seconds is None or not 0 <= seconds < math.inf:
            wrong = short(returned[SECONDS])
            raise TaskError(f"curves {self._name}: {SECONDS} must be a number of at least 0, but is {wrong}")
        return round(seconds, 6)  # as the record keeps it, so that a resumed search goes on at the same time

    def _returned(self, suggestion: Suggestion, epoch: int) -> object:
        """What the function returns for an epoch, or the exception that it raises.

        It is called once for each epoch of a trial. After a resume it is called again for the earlier epochs of a trial
        that goes on.
        """
        begun = self._begun.get(suggestion.trial)
        if begun is None or begun[0] != epoch:
            try:
                begun = epoch, self._function(dict(suggestion.config), epoch)
            except Exception as error:
                begun = epoch, error
            self._begun[suggestion.trial] = begun
        return begun[1]

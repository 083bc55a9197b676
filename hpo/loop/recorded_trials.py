"""The trials of a recorded study as a table, from which a simulated search takes its reports.

A new trial of the search takes the recorded trial with the nearest configuration that no trial has taken yet: each
recorded trial is played once. Near is the Euclidean distance of both in the encoding of the space (`Encoding`). Of
equally near ones, the trial with the lowest number is taken.

The reports are those on record. No value is computed, and patience is not applied again: a recorded trial that ended
itself ends at the same epoch. A curve may also end because the study stopped or paused the trial, or is still training
it. The trial of the search then ends there, as by patience, and is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hpo.record import History, Trial
from hpo.space import SearchSpace
from hpo.space.encoding import Encoding
from hpo.trial import Config, Report, Suggestion


def playable(history: History) -> list[Trial]:
    """The trials of a study that can be played: those that reported an epoch and did not crash."""
    return [trial for trial in history.trials.values() if trial.reports and trial.crash is None]


def is_short(trial: Trial, high: int) -> bool:
    """Whether the curve of a trial ends before the top rung `high`, though the trial did not end itself."""
    return not trial.reports[-1].last and trial.epoch < high


class RecordedTrials:
    """The trials of a study, each of which is played once. It has the methods of `KnownTrials`."""

    def __init__(self, space: SearchSpace, trials: Sequence[Trial]) -> None:
        """`trials` are those that can be played, see `playable`."""
        self._high = space.fidelity.high
        self._encoding = Encoding(space)
        self._trials = trials
        self._points = np.array([self._encoding.encode(trial.config) for trial in trials])
        self._left = np.ones(len(trials), bool)
        """Which trials no trial of the search has taken yet."""
        self._taken: dict[int, Trial] = {}
        """The recorded trial of each trial of the search, by the number of the latter."""
        self.cut: set[int] = set()
        """The numbers of the trials of the search that ended because their recorded curve ends."""

    def seconds(self, suggestion: Suggestion, epoch: int) -> float:
        """The recorded seconds of an epoch. A new trial takes its recorded trial here."""
        if suggestion.trial not in self._taken:
            self._taken[suggestion.trial] = self._take_nearest(suggestion.config)
        return self._taken[suggestion.trial].reports[epoch - 1].seconds

    def report(self, suggestion: Suggestion, epoch: int) -> Report:
        """The recorded report of an epoch. It is the last one if the curve ends here."""
        recorded = self._taken[suggestion.trial]
        report = recorded.reports[epoch - 1]
        is_cut = epoch == recorded.epoch and is_short(recorded, self._high)
        if is_cut:
            self.cut.add(suggestion.trial)
        return replace(report, trial=suggestion.trial, last=report.last or is_cut)

    def forget(self, trial: int) -> None:
        """Keep what the trial has taken, so that no other trial takes it."""

    def _take_nearest(self, config: Config) -> Trial:
        distances = ((self._points - self._encoding.encode(config)) ** 2).sum(axis=1)
        nearest = int(np.where(self._left, distances, np.inf).argmin())
        self._left[nearest] = False
        return self._trials[nearest]

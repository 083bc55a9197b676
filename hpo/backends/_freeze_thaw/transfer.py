"""The transfer from an earlier study, the source, to this search: from where it begins, and the mean of its model.

A Gaussian process of the same kind is fitted once to the trials of the source. m(x) is its prediction of the final
value at a point, in standard units.

1. Beside the first trials, up to three are begun that were the best of the source and differ: the next one is begun as
   long as those before it are no worse than the others. What the source did not search has its default value, or else
   that at the centre of the prior.
2. Afterwards w m(x) is the mean of this search's Gaussian process before any observation. The observations of this
   search then correct it. The weight w is fitted to these observations, at each step anew, as a linear regression
   with correlated errors: w is normal with mean 0 before any observation, and a negative mean counts as 0.

A source that orders the trials of this search the other way round has the weight 0. One that has nothing to do with
this search can have a positive weight by chance, and then costs some trainings.

A linear mean with a normal weight: Rasmussen, Williams, Gaussian Processes for Machine Learning, 2006, section 2.7.
An earlier study as the mean of the next one: Golovin, Solnik, Moitra, Kochanski, Karro, Sculley, Google Vizier: A
Service for Black-Box Optimization, KDD 2017.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median

import numpy as np

from hpo.backends._freeze_thaw import steps
from hpo.backends._freeze_thaw.model import Model, Snapshot
from hpo.backends._freeze_thaw.posterior import Factor, Trend
from hpo.backends._freeze_thaw.trials import Row, Trials
from hpo.space import Fidelity
from hpo.space.encoding import Encoding, FloatArray
from hpo.trial import Config, EarlierStudy

FIRST = (2, 4, 6)
"""The least numbers of the trials that are taken from the source."""
DIFFERENT = 0.1
"""Each of these differs from all trials before it by at least this in a coordinate."""
WEIGHT_DEVIATION = 0.3
"""The deviation of w before any observation. Values and predictions both have variance 1, but values vary by epoch
too."""
N_SPREAD, LEAST_DEVIATION = 256, 0.1
"""The prediction has mean 0 and variance 1 over so many points. It is enlarged at most by 1 / `LEAST_DEVIATION`."""


class SourceModel:
    """The model of an earlier study, see the top of the file."""

    def __init__(self, encoding: Encoding, study: EarlierStudy, usual: FloatArray) -> None:
        """`encoding` is that of the space that is searched now.

        `usual`, of shape (d,), has the coordinates of the hyperparameters that a trial of the source lacks, for the
        trials that begin from it. The model itself sees them in their middle.
        """
        self._middle = encoding.encode({})
        self._is_known = np.zeros(encoding.n_coordinates, bool)
        for name in study.hyperparameters:
            self._is_known[encoding.where[name]] = True
        trials = _trials(encoding, study)
        prediction = Model(encoding, study.high).predict(trials, Snapshot(len(trials.rows), 0), 0)
        assert prediction is not None, "an earlier study has a finite value"
        self._posterior = prediction.posterior
        ranked = np.argsort(prediction.means, kind="stable").tolist()
        self._best = _best([_completed(encoding, trials[number].config, usual) for number in ranked])
        spread = encoding.snap(np.random.default_rng(0).random((N_SPREAD, encoding.n_coordinates)))
        means = self._posterior.mean(self._seen(spread))
        self._mean, self._deviation = float(means.mean()), max(float(means.std()), LEAST_DEVIATION)

    def first(self, trials: Trials) -> FloatArray | None:
        """The point of the next trial, if it is to be taken from the source.

        None if no turn of the source has come, if trials have been near all of its best points, or if the trials that
        were taken from it are worse than the others: their median value is.
        """
        before = trials.of_source
        if len(before) == len(FIRST) or len(trials) < FIRST[len(before)]:
            return None
        seen = [number for number, trial in enumerate(trials) if trial.values or trial.has_crashed]
        of_source = [trials.best(number) for number in seen if number in before]
        of_others = [trials.best(number) for number in seen if number not in before]
        if of_source and of_others and median(of_source) > median(of_others):
            return None
        return next((point for point in self._best if _differs(point, trials.points())), None)

    def at(self, points: FloatArray) -> FloatArray:
        """The prediction m at points of shape (q, d). The result has shape (q,)."""
        means: FloatArray = self._posterior.mean(self._seen(points))
        return (means - self._mean) / self._deviation

    def gradient(self, point: FloatArray) -> tuple[float, FloatArray]:
        """The prediction at one point, of shape (d,), and its gradient by the point."""
        mean, of_mean = self._posterior.mean_gradient(self._seen(point[None])[0])
        return (mean - self._mean) / self._deviation, np.where(self._is_known, of_mean / self._deviation, 0.0)

    def trend(self, factor: Factor, values: FloatArray) -> Trend:
        """w m, where w is fitted to the rows of a factor with their `values`, of shape (n,)."""
        return WeightedMean(self, weight(factor, values, self.at(factor.rows.points)[factor.rows.trials]))

    def _seen(self, points: FloatArray) -> FloatArray:
        """The points as the source sees them: in the middle of the hyperparameters that it did not search."""
        seen: FloatArray = np.where(self._is_known, points, self._middle)
        return seen


class WeightedMean:
    """w m, as the mean of a Gaussian process."""

    def __init__(self, source: SourceModel, weight: float) -> None:
        self._source, self._weight = source, weight

    def at(self, points: FloatArray) -> FloatArray:
        return self._weight * self._source.at(points)

    def gradient(self, point: FloatArray) -> tuple[float, FloatArray]:
        mean, of_mean = self._source.gradient(point)
        return self._weight * mean, self._weight * of_mean


def weight(factor: Factor, values: FloatArray, predictions: FloatArray) -> float:
    """The mean of w, 0 if it is negative, if the rows of a factor have `values`, and the source has `predictions` of
    them, both of shape (n,)."""
    values, predictions = factor.inverse @ values, factor.inverse @ predictions
    mean = float(values @ predictions) / (float(predictions @ predictions) + WEIGHT_DEVIATION**-2)
    return max(mean, 0.0)


def usual_point(encoding: Encoding, centre: FloatArray, defaults: Config) -> FloatArray:
    """The default values as a point, and `centre` where there is none, both of shape (d,)."""
    return _with_values(encoding, centre, defaults)


def _trials(encoding: Encoding, study: EarlierStudy) -> Trials:
    """The trials of an earlier study, with rows at the rungs, the last epoch and the last finite one of each."""
    trials = Trials(study.high, steps.rungs(Fidelity(study.high)), "")
    for earlier in study.trials:
        number = trials.add(earlier.config, encoding.encode(earlier.config))
        finite = [epoch for epoch, value in earlier.values.items() if math.isfinite(value)]
        kept = {*trials.rungs, max(earlier.values), max(finite, default=0)}
        trials.rows.extend(Row(number, epoch, value) for epoch, value in earlier.values.items() if epoch in kept)
    return trials


def _completed(encoding: Encoding, config: Config, usual: FloatArray) -> FloatArray:
    """The point of a configuration of the source. What it lacks, but is active in this space, is as in `usual`."""
    completed: FloatArray = encoding.snap(_with_values(encoding, usual, config)[None])[0]
    return completed


def _with_values(encoding: Encoding, point: FloatArray, config: Config) -> FloatArray:
    """The point with the coordinates of the values of a configuration."""
    changed, given = point.copy(), encoding.encode(config)
    for name in config:
        changed[encoding.where[name]] = given[encoding.where[name]]
    return changed


def _best(points: Sequence[FloatArray]) -> list[FloatArray]:
    """The first of the points that differ, as many as `FIRST`."""
    best: list[FloatArray] = []
    for point in points:
        if _differs(point, best):
            best.append(point)
    return best[: len(FIRST)]


def _differs(point: FloatArray, others: Iterable[FloatArray]) -> bool:
    """Whether a point differs by at least `DIFFERENT` from each of the others."""
    return all(np.abs(point - other).max(initial=0.0) >= DIFFERENT for other in others)

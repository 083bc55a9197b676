"""What an earlier study says of this search: where its good values lie, and how much of that fits here.

A Gaussian process of the same kind is fitted once to the trials of the earlier study. Its expected final value at a
point, in standard units, is the opinion m(x) of that study.

1. Beside the first trials, up to three are begun that were the best of the earlier study and differ: the next one is
   begun as long as those before it are no worse than the others.
2. Afterwards w m(x) is the mean of this search's Gaussian process before any observation. The observations of this
   search then correct it. The share w is fitted to these observations, at each step anew, as a linear regression
   with correlated errors: w is normal with mean 0 before any observation, and at least 0. So an earlier study that
   orders the trials of this search wrongly soon counts nothing.

A linear mean with a normal weight: Rasmussen, Williams, Gaussian Processes for Machine Learning, 2006, section 2.7.
An earlier study as the mean of the next one: Golovin, Solnik, Moitra, Kochanski, Karro, Sculley, Google Vizier: A
Service for Black-Box Optimization, KDD 2017.
"""

from __future__ import annotations

from statistics import median

import numpy as np

from hpo.backends._encoding import Encoding, FloatArray
from hpo.backends._freeze_thaw import steps
from hpo.backends._freeze_thaw.model import Model, Prediction, Snapshot
from hpo.backends._freeze_thaw.posterior import Factor, Trend
from hpo.backends._freeze_thaw.trials import Row, Trials
from hpo.space import Fidelity
from hpo.trial import EarlierStudy

EARLIER = "earlier study"
"""The reason of a trial that is taken from the earlier study."""
FIRST = (2, 4, 6)
"""The least numbers of the trials that are taken from the earlier study."""
DIFFERENT = 0.1
"""Each of these differs from the others by at least this in a coordinate."""
SHARE_DEVIATION = 0.3
"""The deviation of w before any observation. Values and opinions both have variance 1, but values vary by epoch too."""
N_SPREAD, LEAST_DEVIATION = 256, 0.1
"""The opinion has mean 0 and variance 1 over so many points. It is not enlarged more than by 1 / `LEAST_DEVIATION`."""


class EarlierModel:
    """The opinion of an earlier study, see the top of the file."""

    def __init__(self, encoding: Encoding, study: EarlierStudy) -> None:
        """`encoding` is that of the space that is searched now."""
        self._middle = encoding.encode({})
        self._is_known = np.zeros(encoding.n_coordinates, bool)
        for name in study.hyperparameters:
            self._is_known[encoding.where[name]] = True
        trials = _trials(encoding, study)
        prediction = Model(encoding, study.high).predict(trials, Snapshot(len(trials.rows), 0), 0)
        assert prediction is not None, "an earlier study has a finite value"
        self._posterior = prediction.posterior
        self._best = _best(prediction)
        spread = encoding.snap(np.random.default_rng(0).random((N_SPREAD, encoding.n_coordinates)))
        opinions = self._posterior.mean(self._seen(spread))
        self._mean, self._deviation = float(opinions.mean()), max(float(opinions.std()), LEAST_DEVIATION)

    def first(self, trials: Trials) -> FloatArray | None:
        """The point of the next trial, if it is to be taken from the earlier study.

        None if no turn of the earlier study has come, or if the trials that were taken from it are worse than the
        others: their median value is.
        """
        before = taken(trials)
        if len(before) == len(self._best) or len(trials) < FIRST[len(before)]:
            return None
        seen = [number for number, trial in enumerate(trials) if trial.values or trial.has_crashed]
        of_earlier = [trials.best(number) for number in seen if number in before]
        of_others = [trials.best(number) for number in seen if number not in before]
        is_worse = bool(of_earlier and of_others) and median(of_earlier) > median(of_others)
        return None if is_worse else self._best[len(before)]

    def at(self, points: FloatArray) -> FloatArray:
        """The opinion m at points of shape (q, d). The result has shape (q,)."""
        means: FloatArray = self._posterior.mean(self._seen(points))
        return (means - self._mean) / self._deviation

    def gradient(self, point: FloatArray) -> tuple[float, FloatArray]:
        """The opinion at one point, of shape (d,), and its gradient by the point."""
        mean, of_mean = self._posterior.mean_gradient(self._seen(point[None])[0])
        return (mean - self._mean) / self._deviation, np.where(self._is_known, of_mean / self._deviation, 0.0)

    def trend(self, factor: Factor, values: FloatArray) -> Trend:
        """w m, where w is fitted to the rows of a factor with their `values`, of shape (n,)."""
        return ScaledOpinion(self, share(factor, values, self.at(factor.rows.points)[factor.rows.trials]))

    def _seen(self, points: FloatArray) -> FloatArray:
        """The points as the earlier study sees them: in the middle of the hyperparameters that it did not search."""
        seen: FloatArray = np.where(self._is_known, points, self._middle)
        return seen


class ScaledOpinion:
    """w m, as the mean of a Gaussian process."""

    def __init__(self, opinion: EarlierModel, share: float) -> None:
        self._opinion, self._share = opinion, share

    def at(self, points: FloatArray) -> FloatArray:
        return self._share * self._opinion.at(points)

    def gradient(self, point: FloatArray) -> tuple[float, FloatArray]:
        opinion, slope = self._opinion.gradient(point)
        return self._share * opinion, self._share * slope


def taken(trials: Trials) -> set[int]:
    """The numbers of the trials that were taken from the earlier study."""
    return {step.trial for step in trials.steps if step.reason == EARLIER}


def share(factor: Factor, values: FloatArray, opinions: FloatArray) -> float:
    """The expected w, at least 0, if the rows of a factor have `values` and `opinions`, both of shape (n,)."""
    values, opinions = factor.inverse @ values, factor.inverse @ opinions
    return max(float(values @ opinions) / (float(opinions @ opinions) + SHARE_DEVIATION**-2), 0.0)


def _trials(encoding: Encoding, study: EarlierStudy) -> Trials:
    """The trials of an earlier study, with rows at the rungs and at the last epoch of each."""
    trials = Trials(study.high, steps.rungs(Fidelity(study.high)), "")
    for earlier in study.trials:
        number = trials.add(earlier.config, encoding.encode(earlier.config))
        rows = [
            Row(number, epoch, value)
            for epoch, value in earlier.values.items()
            if epoch in trials.rungs or epoch == max(earlier.values)
        ]
        trials.rows.extend(rows)
    return trials


def _best(prediction: Prediction) -> list[FloatArray]:
    """The points of the best trials by their expected final values, that differ, as many as `FIRST`."""
    best: list[FloatArray] = []
    for number in np.argsort(prediction.means, kind="stable"):
        point = prediction.points[number]
        if all(np.abs(point - other).max(initial=0.0) >= DIFFERENT for other in best):
            best.append(point)
    return best[: len(FIRST)]

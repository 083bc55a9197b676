"""Importance and partial dependence of hyperparameters, from all trials of a study, with their uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from hpo.importance import encoding, forest
from hpo.importance.comparable import Comparable, comparable
from hpo.record import History
from hpo.space import SearchSpace
from hpo.trial import Value

N_LEAST = 12
"""With fewer trials, nothing is said."""
N_MOST = 1500
"""With more trials, as many are drawn at random. More would cost time, and say little more."""
N_RESAMPLES = 24
"""The number of times that the trials are resampled."""
N_BACKGROUND = 128
"""The number of random configurations over which a partial dependence is averaged."""
INTERVAL = (0.05, 0.95)
"""The quantiles over resampled trials that bound an interval."""
LEAST_R2 = 0.1
"""The forest must explain at least this share of the variance of trials that it has not seen."""
LARGEST_P = 0.05
"""The rank correlation of predictions and values must be positive with at most this p-value."""
LEAST_SHARE = 0.05
"""A hyperparameter that explains a smaller share of the variance is not said to matter."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """A value over resampled trials: its mean and an interval of 90 %."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Array) -> Spread:
        """The mean and the quantiles of `values`."""
        low, high = np.quantile(values, INTERVAL)
        return cls(float(np.mean(values)), float(low), float(high))


@dataclass(frozen=True)
class Curve:
    """A partial dependence: the average objective for each value of one hyperparameter, the others being random.

    It is the mean, or the geometric mean if the logarithm of the objective was analysed: see `Importance.is_log`.
    """

    values: Sequence[Value]
    """The values of the hyperparameter."""
    objective: Sequence[Spread]
    """The objective at each of them."""


@dataclass(frozen=True)
class Effect:
    """How one hyperparameter changes the objective."""

    name: str
    main: Spread
    """The share of the variance that the hyperparameter explains by itself."""
    total: Spread
    """The share of the variance that is left when all others are known: `main` and all of its interactions."""
    curve: Curve
    stands_out: bool
    """Whether its total is above what columns of random numbers reach; see `_stands_out`."""


@dataclass(frozen=True)
class Importance:
    """What the trials of a study say of its hyperparameters."""

    n_trials: int
    """The number of trials that were used."""
    n_carried: int
    """How many of them ended before `epoch`, and were carried to it."""
    n_lowered: int
    """The number of trials, such as diverged ones, whose value was lowered because it is far above the others."""
    epoch: int
    """The epoch at which trials are compared. 0 without a trial."""
    metric: str
    """The name of the objective."""
    r2: float | None
    """The share of the variance of unseen trials that the forest explains. None if there are too few trials."""
    noise: float
    """The total of a column of random numbers: the 95 % quantile over the resamples."""
    effects: Sequence[Effect]
    """The effects, the largest total first. Empty if the trials do not tell."""
    reason: str | None = None
    """Why the trials do not tell which hyperparameters matter. None if they do."""
    is_log: bool = False
    """Whether the logarithm of the objective was analysed. Then the curves hold geometric means."""

    @property
    def average(self) -> str:
        """What the curves hold, in a word: the mean is expected, and a geometric mean is typical."""
        return "typical" if self.is_log else "expected"


def analyse(space: SearchSpace, history: History, *, seed: int = 0) -> Importance:
    """Find which hyperparameters of a study matter. All trials that did not crash count, also stopped ones.

    The measure is the functional ANOVA of a random forest, as Hutter, Hoos and Leyton-Brown (ICML 2014) use it. The
    averages are taken over random configurations of the space, not over the boxes of the trees, so conditional
    hyperparameters and choices are what the space says they are. `total` is the total effect of Sobol. A conditional
    hyperparameter is judged where it is active, and weighted by how often it is. The uncertainty is that of bootstrap
    resampling of trials.

    If the forest cannot predict trials that it has not seen, or if there are fewer than N_LEAST trials, `effects` is
    empty and `reason` says why. Raises a UserError if scikit-learn is not installed. Equal seeds give
    equal results.
    """
    forest.check_installed()
    found = comparable(history)
    n = len(found.trials) if found else 0
    if found is None or n < N_LEAST:
        too_few = f"{n} trials do not tell which hyperparameters matter: at least {N_LEAST} are needed"
        return Importance(n, 0, 0, found.epoch if found else 0, space.metric, None, 0.0, (), too_few)
    found = _thinned(found, seed)
    coordinates = encoding.encode(space, [trial.config for trial in found.trials])
    rows = encoding.rows(space, coordinates)
    r2, reason = _check(rows, found.values, seed)
    base = (len(found.trials), found.n_carried, found.n_clipped, found.epoch, space.metric, r2)
    if reason is not None:
        return Importance(*base, 0.0, (), reason)
    effects, noise = _effects(space, found, rows, seed)
    return Importance(*base, noise, effects, is_log=found.is_log)


def _thinned(found: Comparable, seed: int) -> Comparable:
    """At most N_MOST trials, drawn at random."""
    n = len(found.trials)
    if n <= N_MOST:
        return found
    kept = np.sort(np.random.default_rng(seed).choice(n, N_MOST, replace=False))
    trials = [found.trials[i] for i in kept]
    counts = (round(count * N_MOST / n) for count in (found.n_carried, found.n_clipped))
    n_carried, n_clipped = counts
    return Comparable(trials, found.values[kept], found.epoch, n_carried, found.is_log, n_clipped)


def _check(rows: Array, values: Array, seed: int) -> tuple[float, str | None]:
    """The share of the variance of unseen trials that a forest explains, and why that is not enough. None if it is."""
    variance = float(np.var(values))
    words = f"{len(values)} trials do not tell which hyperparameters matter"
    if variance == 0:
        return 0.0, f"{words}: all reached the same value"
    predicted = forest.out_of_bag(rows, values, seed)
    r2 = 1 - float(np.mean((values - predicted) ** 2)) / variance
    test = spearmanr(predicted, values, alternative="greater")
    if r2 < LEAST_R2 or not test.pvalue <= LARGEST_P:
        return r2, f"{words}: a model of them does not predict trials that it has not seen"
    return r2, None


@dataclass(frozen=True)
class _Question:
    """The configurations at which the forests are asked about one hyperparameter."""

    name: str
    values: Sequence[Value]
    rows: Array
    """(n_background * n_values, n_columns): each background configuration with each value of the hyperparameter."""
    share: float
    """The share of the configurations in which the hyperparameter is active."""


def _questions(space: SearchSpace, seed: int) -> list[_Question]:
    questions = []
    everything = encoding.sample(space, 8 * N_BACKGROUND, seed)
    active = encoding.deactivated(space, everything) != encoding.INACTIVE
    for i, (name, domain) in enumerate(space.domains.items()):
        background = everything[active[:, i]][:N_BACKGROUND]
        if len(background) < 2:
            continue
        values, places = encoding.grid(domain)
        if len(values) < 2:
            continue
        asked = np.repeat(background, len(values), axis=0)
        asked[:, i] = np.tile(places, len(background))
        rows = encoding.rows(space, encoding.deactivated(space, asked))
        questions.append(_Question(name, values, rows, float(active[:, i].mean())))
    return questions


def _effects(space: SearchSpace, found: Comparable, rows: Array, seed: int) -> tuple[list[Effect], float]:
    """The effect of each hyperparameter, the largest first, and the total of a column of random numbers."""
    rng = np.random.default_rng(seed)
    questions = _questions(space, seed)
    main, total = (np.zeros((len(questions), N_RESAMPLES)) for _ in range(2))
    means = [np.zeros((N_RESAMPLES, len(question.values))) for question in questions]
    noise = np.zeros(N_RESAMPLES)
    everywhere = encoding.rows(space, encoding.deactivated(space, encoding.sample(space, 4 * N_BACKGROUND, seed + 1)))
    for b in range(N_RESAMPLES):
        chosen = rng.integers(0, len(rows), len(rows))
        random_column = rng.random(len(rows))
        model = forest.fitted(_with(rows[chosen], random_column), found.values[chosen], seed + b)
        variance = max(float(np.var(_predict(model, everywhere, rng.random(len(everywhere))))), 1e-12)
        for i, question in enumerate(questions):
            random_values = np.repeat(rng.random(len(question.rows) // len(question.values)), len(question.values))
            answers = _predict(model, question.rows, random_values).reshape(-1, len(question.values))
            means[i][b] = answers.mean(axis=0)
            spread = answers.var(axis=1).mean()
            # The mean over a finite background varies by itself: that part is taken off.
            by_itself = means[i][b].var() - (spread - means[i][b].var()) / len(answers)
            main[i, b], total[i, b] = (question.share * max(each, 0) / variance for each in (by_itself, spread))
        noise[b] = _noise(model, everywhere, rng) / variance
    floor = float(np.quantile(noise, 0.95))
    effects = [
        Effect(
            question.name,
            Spread.of(np.minimum(main[i], 1)),
            Spread.of(np.minimum(total[i], 1)),
            Curve(question.values, [_shown(column, found) for column in means[i].T]),
            stands_out=_stands_out(total[i], noise),
        )
        for i, question in enumerate(questions)
    ]
    return sorted(effects, key=lambda effect: -effect.total.mean), floor


def _stands_out(total: Array, noise: Array) -> bool:
    """Whether the total of a hyperparameter is above that of columns of random numbers, one for each resample.

    Its mean must be above LEAST_SHARE and above what 19 of 20 such columns reach, and its interval above their median.
    This keeps out a hyperparameter that goes with the objective by chance, and one that does so in a few trials.
    """
    floor = max(LEAST_SHARE, float(np.quantile(noise, 0.95)))
    return bool(total.mean() > floor and np.quantile(total, INTERVAL[0]) > np.median(noise))


def _with(rows: Array, column: Array) -> Array:
    return np.column_stack([rows, column])


def _predict(model: Any, rows: Array, column: Array) -> Array:
    return np.asarray(model.predict(_with(rows, column)), dtype=float)


def _noise(model: Any, rows: Array, rng: np.random.Generator) -> float:
    """The mean variance of the prediction over the column of random numbers."""
    places = np.linspace(0, 1, encoding.N_GRID)
    asked = rows[:N_BACKGROUND]
    answers = _predict(model, np.repeat(asked, len(places), axis=0), np.tile(places, len(asked)))
    return float(answers.reshape(len(asked), -1).var(axis=1).mean())


def _shown(values: Array, found: Comparable) -> Spread:
    """The spread of an objective in its own unit."""
    return Spread.of(np.exp(values) if found.is_log else values)

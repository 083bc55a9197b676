"""The decision of a freeze-thaw search: which trial trains next, and to which epoch.

It is a pure function of the trials so far, the model and a random generator. To search by other rules, replace this
file, `steps.py`, `long_runs.py` and `budget_end.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import qmc

from hpo.backends._freeze_thaw import budget_end, long_runs, steps
from hpo.backends._freeze_thaw.long_runs import Belief
from hpo.backends._freeze_thaw.model import Prediction
from hpo.backends._freeze_thaw.proposals import Proposals, log_expected_improvement, propose
from hpo.backends._freeze_thaw.signal import REASON, signal
from hpo.backends._freeze_thaw.transfer import SourceModel
from hpo.backends._freeze_thaw.trials import EARLIER, Trials
from hpo.backends._freeze_thaw.user_prior import UserPrior, exponent
from hpo.space.encoding import Encoding, FloatArray

N_INITIAL = 8
"""The number of trials that begin before the model decides: the centre of the space or prior, then Sobol points."""
SAME = 0.02
"""A proposal whose coordinates all differ by less than this from those of a trial is that trial."""
FAR = 0.1
"""If that trial cannot be continued, the best candidate with a coordinate this far from every trial begins, or, if
there is none, the best one that is no trial's."""
MIN_IMPROVEMENT = 0.01
"""Without new trials, a paused one is useful as long as its expected improvement is at least this, in deviations of
the transformed values."""


class Chosen(NamedTuple):
    """What trains next."""

    trial: int | None
    """The number of a paused trial. None for a new one."""
    until: int
    reason: str
    point: FloatArray | None = None
    """The point of a new trial. None for a paused one."""


def trusted_epoch(trials: Trials, belief: Belief) -> int:
    """The first epoch that the model sees: early epochs that mislead or show noise only are ignored."""
    return max(belief.first_epoch, signal(trials, N_INITIAL).epoch)


@dataclass(frozen=True)
class Ask:
    """What a decision is based on."""

    trials: Trials
    encoding: Encoding
    prior: UserPrior
    trusted: int
    """The first epoch that the model sees."""
    belief: Belief
    """What the long runs say of early epochs."""
    predict: Callable[[], Prediction | None]
    """Computes the prediction of the model. None if no value is finite."""
    rng: np.random.Generator
    seed: int
    source: SourceModel | None = None
    """The model of an earlier study. None without one."""
    epochs_left: int | None = None
    """The number of epochs that may still be suggested. None if it is not known."""

    def continued(self, number: int, reason: str) -> Chosen:
        return Chosen(number, steps.step_end(self.trials, self.trials[number].epoch, self.trusted), reason)

    def new(self, point: FloatArray, reason: str) -> Chosen:
        return Chosen(None, steps.step_end(self.trials, 0, self.trusted), reason, point)

    def spread(self) -> Chosen:
        """A new trial that does not depend on any value: first the centre of the space or prior, then Sobol points."""
        number = self.n_spread
        if self.source is not None and number < N_INITIAL and (point := self.source.first(self.trials)) is not None:
            return self.new(point, EARLIER)
        return self.new(spread_point(self.encoding, self.prior, self.seed, number), "space-filling")

    @property
    def n_spread(self) -> int:
        """The number of trials that are not those of an earlier study."""
        return len(self.trials) - len(self.trials.of_source)


def choose(ask: Ask, *, new: bool) -> Chosen | None:
    """What trains next. None if nothing should: without `new`, or if the epochs left are kept for running trials.

    Near the end of the budget, paused trials come before new ones.
    """
    left = ask.epochs_left
    paused_first = new and left is not None and ask.n_spread >= N_INITIAL and budget_end.is_near_end(ask.trials, left)
    chosen = _next_step(ask, new=False) if paused_first else None
    if chosen is None:
        chosen = _next_step(ask, new=new)
    return chosen if chosen is None or left is None else _within_budget(ask, chosen, left)


def _within_budget(ask: Ask, chosen: Chosen, left: int) -> Chosen | None:
    """The chosen step, if `left` epochs suffice for it and for the predicted best trial to reach the last epoch.

    If they do not, the predicted best trial is trained to its last epoch now, or None is returned while it trains. None
    is returned too if running trials take all epochs that are left.
    """
    trials = ask.trials
    left_after = left - chosen.until + (0 if chosen.trial is None else trials[chosen.trial].epoch)
    kept = budget_end.kept(trials, ask.trusted, left, ask.predict) if left_after < trials.high else None
    if kept is not None and kept.trial != chosen.trial and left_after < kept.epochs:
        is_paused = trials[kept.trial].is_paused
        return Chosen(kept.trial, trials.high, budget_end.REASON) if is_paused else None
    return None if left_after < 0 and trials.running else chosen


def _next_step(ask: Ask, *, new: bool) -> Chosen | None:
    """What trains next, whatever is left of the budget."""
    trials = ask.trials
    if (number := _in_early_phase(trials)) is not None:
        return ask.continued(number, "early phase")
    if new and ask.n_spread < N_INITIAL:
        return ask.spread()
    needed = signal(trials, N_INITIAL).needed
    if (number := next((n for n in needed if trials[n].is_paused), None)) is not None:
        return ask.continued(number, REASON)
    paused = trials.paused
    if not new and not paused:
        return None
    prediction = ask.predict()
    if prediction is None:
        return ask.spread() if new else None
    if (run := long_runs.long_run(trials, ask.belief, N_INITIAL, ask.trusted, ask.rng)) is not None:
        return Chosen(run.trial, run.until, long_runs.REASON)
    scored = [number for number in paused if np.isfinite(prediction.deviations[number])]
    means, deviations = prediction.means[scored], prediction.deviations[scored]
    scores = log_expected_improvement(means, deviations, prediction.best)
    if not new:
        return _last_steps(ask, scored, scores)
    proposals = propose(prediction, ask.encoding, ask.prior, exponent(trials), ask.rng)
    if scored:
        index = scores - steps.log_cost(trials, scored)
        if index.max() >= proposals.score - math.log(trials.high):
            return ask.continued(scored[int(index.argmax())], "thawed")
    return _begin(ask, prediction, proposals)


def spread_point(encoding: Encoding, prior: UserPrior, seed: int, number: int) -> FloatArray:
    """The centre of the space for `number` 0, and a scrambled Sobol point for each other number.

    The user's prior has its own centre. Every second Sobol point, from the first on, is mapped to the prior. The others
    are not, so that a search with a wrong prior recovers.
    """
    if number == 0 or encoding.n_coordinates == 0:
        point = prior.centre()
    else:
        sobol = qmc.Sobol(encoding.n_coordinates, scramble=True, rng=np.random.default_rng([seed, 1]))
        uniform = (sobol.fast_forward(number - 1) if number > 1 else sobol).random(1)
        point = (prior.mapped(uniform) if number % 2 else uniform)[0]
    snapped: FloatArray = encoding.snap(point[None])[0]
    return snapped


def _in_early_phase(trials: Trials) -> int | None:
    """The first paused trial in a training phase before the last one. It has no value yet that could be compared."""
    return next((number for number in trials.paused if trials[number].in_early_phase), None)


def _last_steps(ask: Ask, paused: list[int], scores: FloatArray) -> Chosen | None:
    """The next step of a search that begins no new trial: that of the most useful paused one, if any is useful.

    The trial with the lowest value is trained to the last epoch in any case.
    """
    trials = ask.trials
    useful = [i for i in range(len(paused)) if scores[i] >= math.log(MIN_IMPROVEMENT)]
    if useful:
        index = scores - steps.log_cost(trials, paused)
        return ask.continued(paused[max(useful, key=lambda i: float(index[i]))], "thawed")
    incumbent = min(range(len(trials)), key=lambda number: (trials.best(number, ask.trusted), number))
    return ask.continued(incumbent, "thawed") if trials[incumbent].is_paused else None


def _begin(ask: Ask, prediction: Prediction, proposals: Proposals) -> Chosen:
    """A new trial at the proposed point. If a trial is there already, that one goes on, or another point is taken."""
    gaps = np.abs(prediction.points - proposals.point).max(axis=1)
    nearest = int(gaps.argmin())
    if gaps[nearest] >= SAME:
        return ask.new(proposals.point, "expected improvement")
    if ask.trials[nearest].is_paused:
        return ask.continued(nearest, "thawed")
    gaps = np.abs(proposals.candidates[:, None] - prediction.points[None]).max(axis=2).min(axis=1)
    for least in (FAR, SAME):
        if (gaps >= least).any():
            best = np.where(gaps >= least, proposals.scores, -np.inf).argmax()
            return ask.new(proposals.candidates[best], "expected improvement")
    return ask.spread()

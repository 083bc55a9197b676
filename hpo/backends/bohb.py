"""BOHB: Hyperband's brackets, filled with configurations from a model of the good configurations.

Falkner, Klein, Hutter, BOHB: Robust and Efficient Hyperparameter Optimization at Scale, ICML 2018.

The model and the brackets come from HpBandSter, the code of the paper, without its server and threads. A promoted trial
continues from its checkpoint, whereas HpBandSter trains it again from its first epoch. Two defects of HpBandSter are
corrected in `_hpbandster.py` and `_halving.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from hpo.backends._backend import Answer, Backend
from hpo.backends._options import needs, number, reject_unknown, seed32, whole_number
from hpo.space import SearchSpace
from hpo.trial import Config, Crash, Decision, Report, Scalar, Suggestion, valid_loss

if TYPE_CHECKING:
    from hpo.backends._halving import Halving, Key
    from hpo.backends._hpbandster import Model

OPTIONS = (
    "min_points_in_model",
    "top_n_percent",
    "num_samples",
    "random_fraction",
    "bandwidth_factor",
    "min_bandwidth",
)
"""The names of the options of `build`."""


def build(
    space: SearchSpace,
    *,
    seed: int,
    min_points_in_model: int | None = None,
    top_n_percent: int = 15,
    num_samples: int = 64,
    random_fraction: float = 1 / 3,
    bandwidth_factor: float = 3,
    min_bandwidth: float = 1e-3,
    **unknown: object,
) -> Backend:
    """BOHB over `space`. The many options and their defaults are those of HpBandSter.

    Args:
        space: what to search. The rungs are those of its fidelity.
        seed: the seed of the model and of the random configurations.
        min_points_in_model: the number of results at a rung from which on the rung is modelled. It is the number of
            hyperparameters + 1 by default, and at least that.
        top_n_percent: the percentage of the results at a rung that count as good.
        num_samples: the number of candidates from which the model picks one.
        random_fraction: the share of configurations that are drawn at random even if there is a model.
        bandwidth_factor: how many times wider than the density of the good configurations the candidates are spread.
        min_bandwidth: the smallest bandwidth of a density. It keeps some variation in every hyperparameter.
        unknown: options that BOHB does not have. They raise UnknownName.

    Raises UserError if an option is wrong, or if HpBandSter is not installed.
    """
    reject_unknown("bohb", unknown, OPTIONS)
    least = len(space.domains) + 1
    options = {
        "min_points_in_model": least
        if min_points_in_model is None
        else whole_number("min_points_in_model", min_points_in_model, least),
        "top_n_percent": whole_number("top_n_percent", top_n_percent, 1, 99),
        "num_samples": whole_number("num_samples", num_samples, 1),
        "random_fraction": number("random_fraction", random_fraction, 0, 1),
        "bandwidth_factor": number("bandwidth_factor", bandwidth_factor, 0, open_low=True),
        "min_bandwidth": number("min_bandwidth", min_bandwidth, 0, open_low=True),
    }
    seed32(seed)
    with needs("bohb"):
        from hpo.backends._hpbandster import Model
    return Bohb(space, Model(space, seed, options))


def bracket_sizes(index: int, n_rungs: int, eta: int) -> tuple[int, ...]:
    """The number of trials at each rung of bracket number `index`, from its first rung to the top rung.

    The formula is HpBandSter's. Brackets begin one rung higher each time, and again at the lowest rung after the one
    that has only the top rung.
    """
    n_promotions = n_rungs - 1 - index % n_rungs  # s in the papers on Hyperband and BOHB
    n_first = n_rungs // (n_promotions + 1) * eta**n_promotions
    return tuple(max(n_first // eta**k, 1) for k in range(n_promotions + 1))


def round_brackets(n_rungs: int, eta: int, options: Mapping[str, object]) -> list[tuple[int, ...]]:
    """The sizes of the brackets of one round, see `hpo.backends._backend`."""
    return [bracket_sizes(index, n_rungs, eta) for index in range(n_rungs)]


@dataclass
class _Trial:
    number: int
    config: Config
    notes: Mapping[str, Scalar]
    key: Key
    """The identifier of the trial in HpBandSter."""
    until: int
    final_loss: float | None = None
    """The last loss of a trial that has ended by itself, inf after a crash. None for any other trial."""
    stopped: bool = False


@dataclass
class _Bracket:
    index: int
    halving: Halving
    trials: dict[Key, _Trial] = field(default_factory=dict)


class Bohb:
    """The BOHB backend. Several brackets may be open at once, so that no slot has to wait for a slow trial."""

    def __init__(self, space: SearchSpace, model: Model) -> None:
        self._rungs = space.fidelity.rungs()
        self._eta = space.fidelity.eta
        self._model = model
        self._open_brackets: list[_Bracket] = []
        """The brackets that are not finished, oldest first."""
        self._n_brackets = 0
        self._trials: list[tuple[_Trial, _Bracket]] = []
        """All trials by number, each with its bracket."""

    def ask(self, *, new: bool = True) -> Answer:
        for bracket in self._open_brackets:
            if bracket.halving.queued:
                return self._next_run(bracket)
        is_closed = self._model.configurations.are_exhausted
        if not new or is_closed:
            may_promote = any(bracket.halving.may_promote(is_closed=is_closed) for bracket in self._open_brackets)
            return "wait" if may_promote else "done"
        vacant = (bracket for bracket in self._open_brackets if bracket.halving.has_vacancy)
        return self._next_run(next(vacant, None) or self._open_bracket())

    def enqueue(self, config: Config) -> None:
        self._model.configurations.enqueue(config)

    def replay(self, recorded: Suggestion) -> Answer:
        self._model.recorded = recorded
        try:
            return self.ask()
        finally:
            self._model.recorded = None

    def tell(self, event: Report | Crash) -> Mapping[int, Decision]:
        trial, bracket = self._trials[event.trial]
        if isinstance(event, Report) and event.fidelity < trial.until and not event.last:
            return {}
        loss = math.inf if isinstance(event, Crash) else valid_loss(event.loss)
        if isinstance(event, Crash) or event.last or trial.until == self._rungs[-1]:
            trial.final_loss = loss
        self._model.learn(bracket.halving.record_loss(trial.key, loss))
        # A bracket may have waited for new configurations. If none is left, it must wait no longer.
        advancing = list(self._open_brackets) if self._model.configurations.are_exhausted else [bracket]
        for each in advancing:
            self._advance(each)
        decisions = dict.fromkeys(chain.from_iterable(map(_newly_eliminated, advancing)), Decision.STOP)
        if trial.final_loss is None:
            decisions.setdefault(trial.number, Decision.PAUSE)
        return decisions

    def _next_run(self, bracket: _Bracket) -> Suggestion:
        """The next suggestion of a bracket that has a queued promotion or a vacancy."""
        key, _, until = bracket.halving.get_next_run()
        trial = bracket.trials.get(key)
        if trial is None:
            config, notes = bracket.halving.data[key].config_info
            trial = _Trial(len(self._trials), config, notes, key, until)
            bracket.trials[key] = trial
            self._trials.append((trial, bracket))
        trial.until = until
        return Suggestion(trial.number, trial.config, until, bracket.index, trial.notes)

    def _open_bracket(self) -> _Bracket:
        sizes = bracket_sizes(self._n_brackets, len(self._rungs), self._eta)
        bracket = _Bracket(self._n_brackets, self._model.halving(self._n_brackets, sizes, self._rungs[-len(sizes) :]))
        self._open_brackets.append(bracket)
        self._n_brackets += 1
        return bracket

    def _advance(self, bracket: _Bracket) -> None:
        """Promote the best trials of each rung that is complete.

        A promoted trial that has ended by itself is not trained. Its last loss is its result at the next rung.
        """
        halving = bracket.halving
        while self._is_complete(halving):
            halving.process_results()
            for key in halving.queued:
                loss = bracket.trials[key].final_loss
                if loss is not None:
                    halving.mark_running(key)
                    self._model.learn(halving.record_loss(key, loss))
        if halving.is_finished:
            self._open_brackets.remove(bracket)

    def _is_complete(self, halving: Halving) -> bool:
        """Whether all results of the current rung are there. No place is kept free if no configuration is left."""
        if self._model.configurations.are_exhausted:
            halving.close()
        return halving.rung_is_complete


def _newly_eliminated(bracket: _Bracket) -> Iterator[int]:
    """The paused trials of a bracket that can no longer be promoted. Each trial is returned once only."""
    for key, trial in bracket.trials.items():
        if trial.final_loss is None and not trial.stopped and bracket.halving.is_eliminated(key):
            trial.stopped = True
            yield trial.number

"""BOHB: Hyperband's brackets, filled with configurations that a model of the good ones proposes.

Falkner, Klein, Hutter, BOHB: Robust and Efficient Hyperparameter Optimization at Scale, ICML 2018.
The model and the brackets are HpBandSter's, the paper's own code, driven without its server and threads.
A promoted trial continues from its checkpoint; the code of the paper trains it again from its first epoch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hpo.backends._backend import Answer, Backend
from hpo.backends._options import needs, no_others, number, seed32, whole
from hpo.space import SearchSpace
from hpo.trial import Config, Crash, Decision, Report, Scalar, Suggestion

if TYPE_CHECKING:
    from hpo.backends._hpbandster import Halving, Key, Model

OPTIONS = (
    "min_points_in_model",
    "top_n_percent",
    "num_samples",
    "random_fraction",
    "bandwidth_factor",
    "min_bandwidth",
)


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
    """BOHB over `space`. The options are HpBandSter's (so eight arguments), and so are their defaults.

    Args:
        space: what to search; the rungs are those of its fidelity.
        seed: of the model and of the random configurations.
        min_points_in_model: results at a rung before it is modelled; the number of hyperparameters + 1.
        top_n_percent: how many of the results at a rung count as good.
        num_samples: candidates among which the model picks one.
        random_fraction: share of configurations that are drawn at random all the same.
        bandwidth_factor: how much wider than the density of the good ones the candidates spread.
        min_bandwidth: least width of a density, so that no hyperparameter is ever settled.
    """
    no_others(unknown, OPTIONS)
    least = len(space.domains) + 1
    options = {
        "min_points_in_model": least
        if min_points_in_model is None
        else whole("min_points_in_model", min_points_in_model, least),
        "top_n_percent": whole("top_n_percent", top_n_percent, 1, 99),
        "num_samples": whole("num_samples", num_samples, 1),
        "random_fraction": number("random_fraction", random_fraction, 0, 1),
        "bandwidth_factor": number("bandwidth_factor", bandwidth_factor, 0, open_low=True),
        "min_bandwidth": number("min_bandwidth", min_bandwidth, 0, open_low=True),
    }
    seed32(seed)
    with needs("bohb"):
        from hpo.backends._hpbandster import Model
    return Bohb(space, Model(space, seed, options))


def bracket_sizes(index: int, n_rungs: int, eta: int) -> tuple[int, ...]:
    """How many trials bracket number `index` trains at each of its rungs, the last of which is the top one."""
    s = n_rungs - 1 - index % n_rungs
    n_first = n_rungs // (s + 1) * eta**s
    return tuple(max(n_first // eta**k, 1) for k in range(s + 1))


@dataclass
class _Trial:
    number: int
    config: Config
    notes: Mapping[str, Scalar]
    key: Key
    """What HpBandSter calls it."""
    until: int
    ended: float | None = None
    """The last loss of a trial that ended by itself: inf after a crash."""
    stopped: bool = False


@dataclass
class _Bracket:
    index: int
    halving: Halving
    trials: dict[Key, _Trial] = field(default_factory=dict)


class Bohb:
    """Several brackets may be open at once: no slot waits for a slow trial while another may start."""

    def __init__(self, space: SearchSpace, model: Model) -> None:
        self._rungs = space.fidelity.rungs()
        self._eta = space.fidelity.eta
        self._model = model
        self._open: list[_Bracket] = []
        """The brackets that are not finished, oldest first."""
        self._n_brackets = 0
        self._trials: list[tuple[_Trial, _Bracket]] = []

    def ask(self, *, new: bool = True) -> Answer:
        for bracket in self._open:
            if bracket.halving.queued:
                return self._next_run(bracket)
        if not new:
            return "wait" if any(bracket.halving.promising for bracket in self._open) else "done"
        vacant = (bracket for bracket in self._open if bracket.halving.vacant)
        return self._next_run(next(vacant, None) or self._open_bracket())

    def tell(self, event: Report | Crash) -> Mapping[int, Decision]:
        trial, bracket = self._trials[event.trial]
        if isinstance(event, Report) and event.fidelity < trial.until and not event.last:
            return {}
        loss = math.inf if isinstance(event, Crash) else event.loss  # HpBandSter takes NaN for inf
        if isinstance(event, Crash) or event.last or trial.until == self._rungs[-1]:
            trial.ended = loss
        self._model.learn(bracket.halving.enter(trial.key, loss))
        self._advance(bracket)
        decisions = dict.fromkeys(_ruled_out(bracket), Decision.STOP)
        if trial.ended is None:
            decisions.setdefault(trial.number, Decision.PAUSE)
        return decisions

    def _next_run(self, bracket: _Bracket) -> Suggestion:
        """What HpBandSter runs next in a bracket that has a promotion or a vacancy."""
        key, native, until = bracket.halving.get_next_run()
        trial = bracket.trials.get(key)
        if trial is None:
            notes = bracket.halving.data[key].config_info
            trial = _Trial(len(self._trials), self._model.config(native), notes, key, until)
            bracket.trials[key] = trial
            self._trials.append((trial, bracket))
        trial.until = until
        return Suggestion(trial.number, trial.config, until, bracket.index, trial.notes)

    def _open_bracket(self) -> _Bracket:
        sizes = bracket_sizes(self._n_brackets, len(self._rungs), self._eta)
        bracket = _Bracket(self._n_brackets, self._model.halving(self._n_brackets, sizes, self._rungs[-len(sizes) :]))
        self._open.append(bracket)
        self._n_brackets += 1
        return bracket

    def _advance(self, bracket: _Bracket) -> None:
        """Close the rungs that are complete; a promoted trial that has ended meets the next with its last loss."""
        halving = bracket.halving
        while halving.complete:
            halving.process_results()
            for key in halving.queued:
                loss = bracket.trials[key].ended
                if loss is not None:
                    halving.begin(key)
                    self._model.learn(halving.enter(key, loss))
        if halving.is_finished:
            self._open.remove(bracket)


def _ruled_out(bracket: _Bracket) -> Iterator[int]:
    """The trials of a bracket that wait and will never be promoted, each once."""
    for key, trial in bracket.trials.items():
        if trial.ended is None and not trial.stopped and bracket.halving.is_out(key):
            trial.stopped = True
            yield trial.number

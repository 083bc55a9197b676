"""Freeze-thaw Bayesian optimization: after each step, a model decides which paused trial goes on or which one begins.

1. A Gaussian process models the objective over configurations and epochs, from the values of all trials so far.
2. It predicts for each paused trial, and for any new configuration, the value after the last epoch, with its deviation.
3. The first eight trials are the centre of the space and points spread over it. Each trains a few epochs and pauses.
4. Then each step goes to the highest expected improvement over the lowest value so far, per epoch still to train.
5. That is a paused trial, which continues from its checkpoint, or a new one, found by a local search.
6. A step leads to the next of some rungs (3, 5, 8, 13, 21, ... epochs). Late in a search the steps become longer.
7. If the first trials differ by noise only, some of them train on until they can be told apart (`signal.py`).
8. Long runs show whether early epochs mislead (`long_runs.py`). Those that do, or show noise only, are ignored.
9. A running trial counts as if it had ended with the value that is expected of it. So any number of slots can be busy.
10. Half of the first trials follow the priors of the space. For later ones, the improvement is multiplied by the prior
    to a power that becomes lower with each trial, as in pi-BO (`user_prior.py`).
11. The trials of an earlier study can inform the first trials and the model (`transfer.py`).
12. Before the budget ends, the predicted best trial is trained to the last epoch (`budget_end.py`).
13. Values are modelled on a logarithmic scale where they allow it. A crash or a divergence counts as the worst value.

Swersky, Snoek, Adams, Freeze-Thaw Bayesian Optimization, arXiv:1406.3896, 2014; the kernel and the decision differ.
Expected improvement: Jones, Schonlau, Welch, Journal of Global Optimization, 1998.

A search is deterministic: the same seed, budget of epochs and events give the same suggestions on the same machine,
also after it was resumed. With a budget of time, those near its end depend on the pace. On another machine, or with
another number of threads, the last digits of a fit may differ, and with them later suggestions. A resume there takes
the recorded suggestions as they are, and goes on from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from hpo.backends._backend import Answer, Backend
from hpo.backends._configurations import Configurations
from hpo.backends._options import reject_unknown, seed32
from hpo.errors import ReplayError
from hpo.space import SearchSpace
from hpo.trial import Config, Crash, Decision, EarlierStudy, Report, Suggestion, Value

if TYPE_CHECKING:
    from hpo.backends._freeze_thaw.decision import Chosen
    from hpo.backends._freeze_thaw.long_runs import Belief
    from hpo.backends._freeze_thaw.model import Snapshot
    from hpo.backends._freeze_thaw.transfer import SourceModel


def build(space: SearchSpace, *, seed: int, **unknown: object) -> Backend:
    """Freeze-thaw Bayesian optimization over `space`.

    It has no options; `unknown` collects wrong ones, which raise UnknownName. Of the space's fidelity, `low` is the
    least number of epochs of a trial, and `high` the largest. `eta` is not used.
    """
    reject_unknown("freeze_thaw", unknown, ())
    seed32(seed)
    return FreezeThaw(space, seed)


def status(space: SearchSpace, events: Sequence[Suggestion | Report | Crash]) -> str:
    """What a search with these events believes of early epochs, in one line."""
    from hpo.backends._freeze_thaw.status import line

    return line(space, events)


class FreezeThaw:
    """The freeze-thaw backend. See the top of the file.

    It keeps the events, and all that is computed follows from them. So a replay only repeats the events.
    """

    takes_all_recorded = True
    """A resume takes all suggestions from the record, see `hpo.backends._backend.ReplayingBackend`."""
    uses_priors = True
    """New trials follow the priors of the space, see `hpo.backends._backend.uses_priors`."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        # Importing scipy takes a while, and `hpo --help` lists the backends.
        from hpo.backends._freeze_thaw import decision, long_runs, model, steps
        from hpo.backends._freeze_thaw.trials import Trials
        from hpo.backends._freeze_thaw.user_prior import UserPrior
        from hpo.space.encoding import Encoding

        self._decision, self._long_runs, self._steps, self._due = decision, long_runs, steps, model.due
        self._seed = seed
        self._defaults = space.defaults
        self._encoding = Encoding(space)
        self._prior = UserPrior(space, self._encoding)
        self._configurations = Configurations(space, seed, n_draws=1, uses_priors=True)
        self._trials = Trials(space.fidelity.high, steps.rungs(space.fidelity), space.metric)
        self._model = model.Model(self._encoding, space.fidelity.high)
        self._source: SourceModel | None = None
        """The model of an earlier study, see `learn`."""
        self._snapshot: Snapshot | None = None
        """The moment of the model's last fit, as of the last suggestion."""
        self._epochs_left: int | None = None
        """The number of epochs that may still be suggested, see `plan`."""
        self._asked_in_vain = False
        """Whether nothing has happened since an ask without new trials brought nothing. Another would not either."""

    def ask(self, *, new: bool = True) -> Answer:
        if new and self._configurations.are_queued:
            return self._suggest(self._decision.Chosen(None, self._first_step_end(), "queued"))
        new = new and not self._configurations.are_exhausted
        chosen = None if self._asked_in_vain and not new else self._choose(new=new)
        if chosen is None:
            self._asked_in_vain = True
            return "wait" if self._trials.running else "done"
        return self._suggest(chosen)

    def enqueue(self, config: Config) -> None:
        self._configurations.enqueue(config)

    def plan(self, epochs_left: int | None) -> None:
        """Take the number of epochs that may still be suggested, see `_freeze_thaw/budget_end.py`."""
        self._epochs_left = epochs_left

    def learn(self, earlier: EarlierStudy) -> None:
        """Let an earlier study inform the first trials and the model, see `_freeze_thaw/transfer.py`."""
        from hpo.backends._freeze_thaw.model import Model
        from hpo.backends._freeze_thaw.transfer import SourceModel, usual_point

        usual = usual_point(self._encoding, self._prior.centre(), self._defaults)
        self._source = SourceModel(self._encoding, earlier, usual)
        self._model = Model(self._encoding, self._trials.high, self._source)

    def replay(self, recorded: Suggestion) -> Answer:
        """Repeat a call of `ask` whose answer was `recorded`. Raises ReplayError if it can not have been.

        A suggestion of a new trial must have the next number, and one of an earlier trial that of a paused one.
        """
        trials, number = self._trials, recorded.trial
        is_new = number == len(trials)
        if not is_new and (not 0 <= number < len(trials) or not trials[number].is_paused):
            raise ReplayError(f"the record has {recorded}, but trial {number} is neither paused nor the next new one")
        if is_new and self._configurations.are_exhausted:
            raise ReplayError(f"the record has {recorded}, but every configuration was tried")
        lowest = trials.rungs[0] - 1 if is_new else trials[number].epoch
        if not lowest < recorded.until <= trials.high:
            raise ReplayError(f"the record has {recorded}, but `until` must lie above {lowest}, up to {trials.high}")
        reason = str(recorded.notes.get("reason", ""))
        return self._suggest(self._decision.Chosen(None if is_new else number, recorded.until, reason), recorded.config)

    def tell(self, event: Report | Crash) -> Mapping[int, Decision]:
        self._asked_in_vain = False
        trial = self._trials[event.trial]
        if isinstance(event, Crash):
            self._trials.crash(event.trial)
            return {}
        self._trials.report(event)
        if event.last or event.fidelity >= self._trials.high or trial.until is not None:
            return {}
        return {event.trial: Decision.PAUSE if trial.is_paused else Decision.STOP}

    def _choose(self, *, new: bool) -> Chosen | None:
        """Decide what trains next. Nothing is changed."""
        from numpy.random import default_rng

        belief, trusted = self._trusted()
        snapshot = self._due(self._trials, self._snapshot, trusted)
        ask = self._decision.Ask(
            trials=self._trials,
            encoding=self._encoding,
            prior=self._prior,
            trusted=trusted,
            belief=belief,
            predict=cache(lambda: self._model.predict(self._trials, snapshot, trusted)),
            rng=default_rng([self._seed, 0, len(self._trials.steps)]),
            seed=self._seed,
            source=self._source,
            epochs_left=self._epochs_left,
        )
        return self._decision.choose(ask, new=new)

    def _suggest(self, chosen: Chosen, recorded: Config | None = None) -> Suggestion:
        """Start what was chosen. A new trial takes the `recorded` configuration, if there is one."""
        trials = self._trials
        self._asked_in_vain = False
        self._snapshot = self._due(trials, self._snapshot, self._trusted()[1])
        number = chosen.trial
        if number is None:
            config = (
                self._configurations.next_again(recorded)
                if recorded is not None
                else self._configurations.next(lambda: self._decode(chosen), None if len(trials) else self._central)
            )
            number = trials.add(config, self._encoding.encode(config))
        trials.start(number, chosen.until, chosen.reason)
        return Suggestion(number, trials[number].config, chosen.until, notes={"reason": chosen.reason})

    def _decode(self, chosen: Chosen) -> Config:
        assert chosen.point is not None
        return self._encoding.decode(chosen.point)

    def _central(self, name: str) -> Value:
        """The value of a hyperparameter at the centre of the space or of its prior."""
        return self._encoding.value(name, self._prior.centre())

    def _trusted(self) -> tuple[Belief, int]:
        """What the long runs say of early epochs, and the first epoch that the model sees."""
        belief = self._long_runs.belief(self._trials)
        return belief, self._decision.trusted_epoch(self._trials, belief)

    def _first_step_end(self) -> int:
        trials = self._trials
        return self._steps.step_end(trials, 0, self._trusted()[1])

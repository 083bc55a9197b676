"""The Backend protocol: what every search algorithm offers.

A backend decides which trials train and which stop. It does not train, write files or know the runner.

To add a backend, write a module with one function:

    build(space: SearchSpace, *, seed: int, **options) -> Backend

`options` are the settings of the backend, such as `--option sampler=gp` on the command line. The module is a file in
this folder, a module that is registered under the entry point group `hpo.backends`, or any module named
`package.module`.

A backend with brackets can have a second function in its module, `round_brackets(n_rungs, eta, options)`: for each
bracket of one round, the number of trials at each of its rungs, from its first one to the top one. A search whose
budget is smaller than that says so before it begins.

A module can have a function `status(space, events)` too. It gets the suggestions, reports and crashes of a study, and
returns a line for `hpo status`: what the search believes at the moment.

Hyperparameters may have a prior (`hpo/space/priors.py`). A backend that uses it has an attribute `uses_priors` that is
True. A search with another backend says that the priors are ignored.

Every backend makes three promises:

- It is deterministic: the same space, seed, options and calls give the same answers.
- It neither reads nor changes the global random states of Python, NumPy and torch.
- A call of `ask` that returns "wait" or "done" changes nothing.

With these promises every study can be resumed, and a backend needs no code to save its state: `hpo resume` builds a new
backend and repeats the recorded calls. A backend whose configurations are slow to compute can offer `replay` as well
(see `ReplayingBackend`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol, runtime_checkable

from hpo.trial import Config, Crash, Decision, EarlierStudy, Report, Suggestion

Answer = Suggestion | Literal["wait", "done"]
"""The result of `Backend.ask`."""


class Backend(Protocol):
    """Decides which configuration trains next, up to which epoch, and which trials stop early."""

    def ask(self, *, new: bool = True) -> Answer:
        """Return what to train next. The search loop calls this whenever a slot is free.

        A Suggestion with a new trial number starts a trial. New trials are numbered 0, 1, 2, ... without gaps. A
        Suggestion with the number of a paused trial and a higher `until` promotes this trial: it continues from its
        checkpoint. A backend returns promotions before new trials: `ask` promotes what `ask(new=False)` would promote.

        Args:
            new: whether a new trial may start. It is False once the study's budget of trials is spent.

        Returns:
            A Suggestion, or "wait" if the next Suggestion depends on a later `tell`, or "done" if there will be none.
            With `new=False` only promotions count: "wait" if the running trials may still lead to one, else "done".
        """
        ...

    def tell(self, event: Report | Crash) -> Mapping[int, Decision]:
        """Receive the result of one epoch, or a crash, and return decisions by trial number.

        The search loop calls this once for each epoch of each trial, and once for each crash, in the order of the
        events. A decision may concern the trial of the event or paused trials.

        - A trial without a decision continues.
        - A trial that reports `fidelity == until` below the top rung needs a decision: PAUSE if it may be promoted
          later, otherwise STOP.
        - A trial has ended if it reports the top rung, reports `last=True`, or crashes. It needs no decision.
        - A paused trial that can no longer be promoted gets STOP as soon as this is known, so that its checkpoint is
          deleted.

        A loss of inf and a Crash are no errors of the search. The backend treats both as the worst possible result.
        """
        ...


def uses_priors(backend: Backend) -> bool:
    """Whether a backend uses the priors of hyperparameters, as its attribute `uses_priors` says. False without it."""
    return bool(getattr(backend, "uses_priors", False))


@runtime_checkable
class TakesConfigurations(Protocol):
    """A backend that also tries given configurations. All backends of hpo do; your own may do without."""

    def enqueue(self, config: Config) -> None:
        """Queue a configuration. New trials take what is queued, in this order, before anything else.

        The search loop calls this before the first `ask`, for the defaults of the space and for configurations that the
        user wants to try first. A resume calls it for crashed trials that are tried again. The backend chooses the
        values of active hyperparameters that `config` lacks, and leaves out those of hyperparameters that are not
        active. A configuration that an earlier trial has is tried again.
        """
        ...


@runtime_checkable
class LearnsFromEarlier(Protocol):
    """A backend that learns from the trials of an earlier study. This is optional.

    A search with another backend only tries the best configurations of the earlier study first, and says so.
    """

    def learn(self, earlier: EarlierStudy) -> None:
        """Take the trials of an earlier study as evidence of another, similar task.

        The search loop calls this once, before the first `ask`. What is passed is recorded in the folder of the study,
        so a resume passes the same, whatever has become of the earlier study. A wrong one must not harm the search for
        long: the two tasks may have nothing in common.
        """
        ...


@runtime_checkable
class PlansForBudget(Protocol):
    """A backend that plans for the end of the budget. This is optional."""

    def plan(self, epochs_left: int | None) -> None:
        """Take the number of epochs that may still be suggested. None if it is not known.

        The search loop calls this before each `ask`, but not before the calls of a replay. So such a backend must also
        be a `ReplayingBackend` with `takes_all_recorded`.
        """
        ...


@runtime_checkable
class ReplayingBackend(Backend, Protocol):
    """A backend that can take a recorded configuration as given, so that a study resumes quickly.

    This is optional. It needs a backend whose next configuration depends only on the seed, the number of the trial and
    the calls so far, and not on random numbers that earlier configurations used up.

    If rounding on another machine can lead to another suggestion, the backend has an attribute `takes_all_recorded`
    that is True. Then a resume computes no suggestion, and calls `replay` for each. `replay` may take all of a recorded
    suggestion as given, also that a paused trial continues. It checks what must agree, and raises ReplayError. Such
    a backend may also answer `ask` and `ask(new=False)` with different suggestions.
    """

    def replay(self, recorded: Suggestion) -> Answer:
        """Repeat a call of `ask` whose answer was `recorded`.

        For a new trial, the configuration and the notes may be taken from `recorded` instead of being computed. All
        else is as in `ask`: the same change of the backend, and an answer that must equal `recorded`. The
        configuration of `recorded` lies in the space.
        """
        ...

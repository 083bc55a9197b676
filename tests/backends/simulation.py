"""A search without training: plays trials against a backend, several at once, in an order drawn by a seed.

`play` returns all that was asked and told, so that a test can state what holds of it; `replay` asks and
tells a second backend the same, as `hpo resume` does.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

from hpo.backends._backend import Answer, Backend, ReplayingBackend
from hpo.space import SearchSpace
from hpo.trial import Config, Crash, Decision, Report, Suggestion
from tests.backends.fates import FINE, Draw, Fate

State = Literal["running", "paused", "stopped", "ended"]
Loss = Callable[[Config, int], float]
"""The loss of a configuration at an epoch."""


@dataclass
class Trial:
    """One simulated trial."""

    config: Config
    fate: Fate
    fated: int
    """The epoch at which the fate takes effect."""
    until: int = 0
    epoch: int = 0
    loss: float = math.inf
    bracket: int = 0
    state: State = "running"


@dataclass(frozen=True)
class Asked:
    """A suggestion, and how things stood when it came."""

    suggestion: Suggestion
    before: Mapping[int, Trial]
    new: bool = True
    """Whether a new trial might begin."""


@dataclass(frozen=True)
class Told:
    """An event, what the backend made of it, and how things stood just before its decisions."""

    event: Report | Crash
    decisions: Mapping[int, Decision]
    before: Mapping[int, Trial]


@dataclass
class Play:
    """Everything that was asked and told, in order, and the trials in the end."""

    steps: list[Asked | Told] = field(default_factory=list)
    trials: dict[int, Trial] = field(default_factory=dict)
    done: bool = False
    """Whether the backend answered "done" to a wish for new trials."""

    def asked(self) -> list[Asked]:
        return [step for step in self.steps if isinstance(step, Asked)]

    def told(self) -> list[Told]:
        return [step for step in self.steps if isinstance(step, Told)]

    def first(self) -> list[Suggestion]:
        """The first suggestion of each trial."""
        return [step.suggestion for step in self.asked() if step.suggestion.trial not in step.before]

    def promotions(self) -> list[Asked]:
        return [step for step in self.asked() if step.suggestion.trial in step.before]


def any_loss(config: Config, epoch: int) -> float:
    """A loss that says nothing of the configuration, and falls."""
    return random.Random(repr(sorted(config.items()))).random() + 1 / epoch


def play(
    backend: Backend,
    space: SearchSpace,
    *,
    seed: int = 0,
    slots: int = 3,
    trials: int = 25,
    loss: Loss = any_loss,
    fate: Draw = FINE,
    pester: int = 0,
) -> Play:
    """Search until `trials` are begun and nothing is left to train.

    `pester` repeats every ask that brought nothing so many times, and asks for promotions alone before
    each ask for anything. An AssertionError tells that the backend waits for what cannot come.

    It takes more arguments than six: each is one circumstance of a search, and most tests change one of them.
    """
    rng, play = random.Random(seed), Play()
    while True:
        running = [number for number, trial in play.trials.items() if trial.state == "running"]
        if len(running) < slots and (not running or rng.random() < 0.6):
            new = len(play.trials) < trials and not play.done
            answer, new = _ask(backend, new, pester)
            if isinstance(answer, Suggestion):
                _start(play, answer, space, rng, fate, new=new)
                continue
            play.done = play.done or (new and answer == "done")
            if not running:
                assert answer == "done", f"the backend waits (new={new}), but nothing is running"
                if not new:
                    return play
        if running:
            _train(play, backend, rng.choice(running), space, loss)


def replay(backend: Backend, steps: Sequence[Asked | Told], *, taken: Container[int] = ()) -> None:
    """Ask and tell a backend what another one was; an AssertionError names the first answer that differs.

    The backend need not compute the suggestions whose positions, counted from 0, are `taken` from the record.
    """
    positions = count()
    for step in steps:
        if isinstance(step, Asked):
            takes = next(positions) in taken and isinstance(backend, ReplayingBackend)
            # A resume does not know whether new trials might begin, unless it computes no suggestion.
            new = step.new if getattr(backend, "takes_all_recorded", False) else True
            answer = backend.replay(step.suggestion) if takes else backend.ask(new=new)  # type: ignore[attr-defined]
            assert answer == step.suggestion, f"{answer} in place of {step.suggestion}"
        else:
            decisions = backend.tell(step.event)
            assert dict(decisions) == dict(step.decisions), f"{decisions} in place of {step.decisions}"


def _ask(backend: Backend, new: bool, pester: int) -> tuple[Answer, bool]:
    """The answer of the backend, and whether a new trial might begin when it gave it."""
    if pester and new:
        promotion, _ = _ask(backend, False, pester)
        if isinstance(promotion, Suggestion):
            return promotion, False
    answer = backend.ask() if new else backend.ask(new=False)
    for _ in range(0 if isinstance(answer, Suggestion) else pester):
        assert backend.ask(new=new) == answer
    return answer, new


def _start(play: Play, answer: Suggestion, space: SearchSpace, rng: random.Random, fate: Draw, *, new: bool) -> None:
    play.steps.append(Asked(answer, _snapshot(play), new))
    if answer.trial not in play.trials:
        fated = rng.randint(1, space.fidelity.high)
        play.trials[answer.trial] = Trial(answer.config, fate(len(play.trials), rng), fated)
    trial = play.trials[answer.trial]
    trial.until, trial.bracket, trial.state = answer.until, answer.bracket, "running"


def _train(play: Play, backend: Backend, number: int, space: SearchSpace, loss: Callable[[Config, int], float]) -> None:
    """One epoch of a trial, and what the backend decides on it."""
    trial = play.trials[number]
    event: Report | Crash
    trial.epoch += 1
    if trial.fate is Fate.CRASH and trial.epoch == trial.fated:
        trial.state, event = "ended", Crash(number, "ValueError", "the simulation was told to crash")
    else:
        raw = {Fate.INFINITE: math.inf, Fate.DIVERGE: math.inf, Fate.NAN: math.nan}.get(trial.fate)
        trial.loss = min(trial.loss, loss(trial.config, trial.epoch)) if raw is None else raw
        last = trial.fate in (Fate.EARLY, Fate.DIVERGE) and trial.epoch == trial.fated
        event = Report(number, trial.epoch, trial.loss, {"val_loss": trial.loss}, 1.0, last)
        if last or trial.epoch == space.fidelity.high:
            trial.state = "ended"
    before = _snapshot(play)
    decisions = dict(backend.tell(event))
    play.steps.append(Told(event, decisions, before))
    for settled, decision in decisions.items():
        if play.trials[settled].state != "ended":
            play.trials[settled].state = "paused" if decision is Decision.PAUSE else "stopped"
    assert trial.state != "running" or trial.epoch < trial.until, f"nothing was decided on trial {number} at its rung"


def _snapshot(play: Play) -> dict[int, Trial]:
    return {number: Trial(**vars(trial)) for number, trial in play.trials.items()}

"""Drives a backend by hand: one trial at a time, on a space of one hyperparameter."""

from collections.abc import Callable

from hpo.backends._backend import Backend
from hpo.space import Fidelity, Float, SearchSpace
from hpo.trial import Config, Decision, Report, Suggestion


def line(high: int, low: int = 1, eta: int = 3) -> SearchSpace:
    """One hyperparameter, and a fidelity."""
    return SearchSpace("line", {"x": Float(0, 1)}, Fidelity(high, low, eta))


def number(config: Config, name: str) -> float:
    """The value of a hyperparameter that is a number, 0 if it is not active."""
    value = config.get(name, 0)
    assert isinstance(value, int | float)
    return value


def begin(backend: Backend) -> Suggestion:
    """The next suggestion, where there must be one."""
    answer = backend.ask()
    assert isinstance(answer, Suggestion)
    return answer


def report(suggestion: Suggestion, loss: float, *, at: int | None = None, last: bool = False) -> Report:
    """The report of a trial at the epoch at which it waits for a decision, or at another."""
    return Report(suggestion.trial, at or suggestion.until, loss, {}, 1.0, last)


def train(backend: Backend, space: SearchSpace, loss: Callable[[int], float]) -> int:
    """Train one new trial until it is stopped or complete, its loss by the epoch; return its last epoch."""
    suggestion = begin(backend)
    for epoch in range(1, space.fidelity.high + 1):
        decisions = backend.tell(report(suggestion, loss(epoch), at=epoch))
        if decisions:
            assert decisions == {suggestion.trial: Decision.STOP}
            return epoch
    return space.fidelity.high

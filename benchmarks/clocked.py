"""Backends by their names and options, with a clock on each `ask`."""

from __future__ import annotations

import time
from collections.abc import Mapping

from hpo.backends._backend import Answer, Backend, PlansForBudget
from hpo.cli.options import named_values
from hpo.loop import build_backend
from hpo.record import Settings
from hpo.space import SearchSpace
from hpo.trial import Crash, Decision, Report, Suggestion


class Clocked:
    """A backend that measures the CPU time of its calls. Other processes on the machine do not count."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.ask_ms: list[float] = []
        """The milliseconds of each call of `ask` that returned a Suggestion."""
        self.tell_ms = 0.0
        """The milliseconds of all calls of `tell` together."""

    def plan(self, epochs_left: int | None) -> None:
        if isinstance(self._backend, PlansForBudget):
            self._backend.plan(epochs_left)

    def ask(self, *, new: bool = True) -> Answer:
        began = time.process_time()
        answer = self._backend.ask(new=new)
        if isinstance(answer, Suggestion):
            self.ask_ms.append(1000 * (time.process_time() - began))
        return answer

    def tell(self, event: Report | Crash) -> Mapping[int, Decision]:
        began = time.process_time()
        decisions = self._backend.tell(event)
        self.tell_ms += 1000 * (time.process_time() - began)
        return decisions


def clocked(text: str, space: SearchSpace, seed: int) -> Clocked:
    """The backend `name` or `name:option=value,option=value`, new.

    The name is one that `hpo search --backend` takes. Raises a UserError if there is no such backend or option.
    """
    name, _, options = text.partition(":")
    settings = Settings(backend=name, options=named_values(tuple(options.split(",")) if options else ()), seed=seed)
    return Clocked(build_backend(space, settings))

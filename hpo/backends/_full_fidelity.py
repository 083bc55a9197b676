"""A backend that trains every configuration to full fidelity. Random search and grid search use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

from hpo.backends._backend import Answer
from hpo.space import SearchSpace
from hpo.trial import Config, Crash, Decision, Report, Suggestion


class FullFidelity:
    """Suggests the configurations of an iterator, one after another. It ignores all results."""

    def __init__(self, space: SearchSpace, configs: Iterator[Config]) -> None:
        self._high = space.fidelity.high
        self._configs = configs
        self._trial_numbers = count()

    def ask(self, *, new: bool = True) -> Answer:
        if not new:
            return "done"
        config = next(self._configs, None)
        return "done" if config is None else Suggestion(next(self._trial_numbers), config, until=self._high)

    def tell(self, event: Report | Crash) -> Mapping[int, Decision]:
        return {}

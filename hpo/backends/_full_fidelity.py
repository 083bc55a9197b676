"""A backend that trains one configuration after another to full fidelity: random and grid search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

from hpo.backends._backend import Answer
from hpo.space import SearchSpace
from hpo.trial import Config, Crash, Decision, Report, Suggestion


class FullFidelity:
    """Hands out the configurations of an iterator; nothing that is told changes what comes."""

    def __init__(self, space: SearchSpace, configs: Iterator[Config]) -> None:
        self._high = space.fidelity.high
        self._configs = configs
        self._numbers = count()

    def ask(self, *, new: bool = True) -> Answer:
        if not new:
            return "done"
        config = next(self._configs, None)
        return "done" if config is None else Suggestion(next(self._numbers), config, until=self._high)

    def tell(self, event: Report | Crash) -> Mapping[int, Decision]:
        return {}

"""A backend that trains every configuration to full fidelity. Random search and grid search use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count

from hpo.backends._backend import Answer
from hpo.backends._configurations import Configurations
from hpo.space import SearchSpace
from hpo.trial import Config, Crash, Decision, Report, Suggestion


class FullFidelity:
    """Suggests one configuration after another. It ignores all results."""

    def __init__(
        self, space: SearchSpace, configurations: Configurations, next_config: Callable[[], Config | None]
    ) -> None:
        """`next_config` takes the next one of `configurations`. It returns None if none is left."""
        self.uses_priors = configurations.uses_priors
        self._high = space.fidelity.high
        self._configurations = configurations
        self._next_config = next_config
        self._trial_numbers = count()

    def ask(self, *, new: bool = True) -> Answer:
        config = self._next_config() if new else None
        return "done" if config is None else Suggestion(next(self._trial_numbers), config, until=self._high)

    def enqueue(self, config: Config) -> None:
        self._configurations.enqueue(config)

    def tell(self, event: Report | Crash) -> Mapping[int, Decision]:
        return {}

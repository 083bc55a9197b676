"""A backend of a user's own, as small as it gets: it passes the contract by subclassing it."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from hpo.backends._backend import Answer
from hpo.space import SearchSpace
from hpo.trial import Config, Crash, Decision, Report, Suggestion
from tests.backends.contract import BackendContract, Build


@dataclass
class HillClimber:
    """Changes one hyperparameter of the best configuration so far; stops what is worse half-way."""

    space: SearchSpace
    rng: random.Random
    configs: list[Config] = field(default_factory=list)
    best: dict[int, tuple[float, int]] = field(default_factory=dict)
    """The lowest loss at each rung, and its trial."""

    def ask(self, *, new: bool = True) -> Answer:
        if not new:
            return "done"
        config = self.space.sample(self.rng)
        if self.best:
            parent = self.configs[self.best[max(self.best)][1]]
            child = {**config, **parent, (name := self.rng.choice(list(config))): config[name]}
            child = {name: value for name, value in child.items() if self.space.active(name, child)}
            config = config if self.space.problem(child) else child
        self.configs.append(config)
        return Suggestion(len(self.configs) - 1, config, until=self.space.fidelity.high)

    def tell(self, event: Report | Crash) -> Mapping[int, Decision]:
        if isinstance(event, Crash) or event.last or event.fidelity not in self.space.fidelity.rungs():
            return {}
        best = min(self.best.get(event.fidelity, (event.loss, event.trial)), (event.loss, event.trial))
        self.best[event.fidelity] = best
        weak = event.loss > 2 * best[0] and event.fidelity < self.space.fidelity.high
        return {event.trial: Decision.STOP} if weak else {}


class TestHillClimber(BackendContract):
    @pytest.fixture
    def build(self) -> Build:
        return lambda space, seed: HillClimber(space, random.Random(seed))

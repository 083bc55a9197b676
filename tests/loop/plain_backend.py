"""A user's backend with the two methods that a backend needs, and no queue."""

import random
from collections.abc import Mapping

from hpo.backends._backend import Answer, Backend
from hpo.space import SearchSpace
from hpo.trial import Crash, Decision, Report, Suggestion


class Plain:
    def __init__(self, space: SearchSpace, seed: int) -> None:
        self.space, self.rng, self.n_trials = space, random.Random(seed), 0

    def ask(self, *, new: bool = True) -> Answer:
        if not new:
            return "done"
        self.n_trials += 1
        return Suggestion(self.n_trials - 1, self.space.sample(self.rng), until=self.space.fidelity.high)

    def tell(self, event: Report | Crash) -> Mapping[int, Decision]:
        return {}


def build(space: SearchSpace, *, seed: int) -> Backend:
    return Plain(space, seed)

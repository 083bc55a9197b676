"""Random search that counts how often it is built."""

from hpo.backends import random
from hpo.backends._backend import Backend
from hpo.space import SearchSpace

SEEDS: list[int] = []
"""The seed of each backend that was built."""


def build(space: SearchSpace, *, seed: int) -> Backend:
    SEEDS.append(seed)
    return random.build(space, seed=seed)

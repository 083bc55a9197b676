"""A backend that plans for the budget, but could not be resumed."""

from __future__ import annotations

from hpo.backends import random
from hpo.backends._backend import Backend
from hpo.space import SearchSpace


class Planning:
    """Random search that learns how many epochs are left."""

    def __init__(self, backend: Backend) -> None:
        self.ask, self.tell = backend.ask, backend.tell

    def plan(self, epochs_left: int | None) -> None:
        """Ignore it."""


def build(space: SearchSpace, *, seed: int) -> Backend:
    """The backend."""
    return Planning(random.build(space, seed=seed))

"""A user's backend that says that it uses priors."""

from hpo.backends._backend import Backend
from hpo.space import SearchSpace
from tests.loop.plain_backend import Plain


class WithPriors(Plain):
    uses_priors = True


def build(space: SearchSpace, *, seed: int) -> Backend:
    return WithPriors(space, seed)

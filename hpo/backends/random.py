"""Random search: random configurations, each trained to full fidelity. It ends if every configuration was given.

If hyperparameters have a prior, the configurations follow it.

Bergstra, Bengio, Random Search for Hyper-Parameter Optimization, JMLR 2012.
"""

from __future__ import annotations

import random

from hpo.backends._backend import Backend
from hpo.backends._configurations import Configurations
from hpo.backends._full_fidelity import FullFidelity
from hpo.backends._options import reject_unknown, seed32
from hpo.backends._prior import sample
from hpo.space import SearchSpace
from hpo.trial import Config


def build(space: SearchSpace, *, seed: int, **unknown: object) -> Backend:
    """Random search over `space`. It has no options; `unknown` collects wrong ones, which raise UnknownName."""
    reject_unknown("random", unknown, ())
    rng = random.Random(seed32(seed))
    configurations = Configurations(space, seed, uses_priors=True)

    def next_config() -> Config | None:
        return None if configurations.are_exhausted else configurations.next(lambda: sample(space, rng))

    return FullFidelity(space, configurations, next_config)

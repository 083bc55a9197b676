"""Random search: independent configurations, each trained to full fidelity, without end.

Bergstra, Bengio, Random Search for Hyper-Parameter Optimization, JMLR 2012.
"""

from __future__ import annotations

import random
from itertools import repeat

from hpo.backends._backend import Backend
from hpo.backends._full_fidelity import FullFidelity
from hpo.backends._options import no_others, seed32
from hpo.space import SearchSpace


def build(space: SearchSpace, *, seed: int, **unknown: object) -> Backend:
    """Random search over `space`; it has no options."""
    no_others(unknown, ())
    rng = random.Random(seed32(seed))
    return FullFidelity(space, map(space.sample, repeat(rng)))

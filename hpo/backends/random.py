"""Random search: independent random configurations, each trained to full fidelity. It never ends by itself.

Bergstra, Bengio, Random Search for Hyper-Parameter Optimization, JMLR 2012.
"""

from __future__ import annotations

import random
from itertools import repeat

from hpo.backends._backend import Backend
from hpo.backends._full_fidelity import FullFidelity
from hpo.backends._options import reject_unknown, seed32
from hpo.space import SearchSpace


def build(space: SearchSpace, *, seed: int, **unknown: object) -> Backend:
    """Random search over `space`. It has no options; `unknown` collects wrong ones, which raise UnknownName."""
    reject_unknown(unknown, ())
    rng = random.Random(seed32(seed))
    return FullFidelity(space, map(space.sample, repeat(rng)))

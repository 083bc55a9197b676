"""Seeds of single draws, and copies of library modules that do not draw from numpy's global random state."""

from __future__ import annotations

from importlib.util import module_from_spec
from types import ModuleType, SimpleNamespace

import numpy as np


def derived_seed(*numbers: int) -> int:
    """A seed of 32 bits that depends on all `numbers`, which are at least 0. Similar numbers give unrelated seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def with_random_state(module: ModuleType, random_state: np.random.RandomState) -> ModuleType:
    """Load a second copy of `module`, in which `np.random` is `random_state`.

    The copy serves one backend. So nothing else in the process affects its draws, and they affect nothing else, in
    whatever threads the backends run. (To replace and restore numpy's global state around each call is safe only as
    long as no other thread draws.) The distribution `truncnorm` of `scipy.stats` also draws from `random_state`, if the
    module imports it as `sps`.
    """
    spec = module.__spec__
    assert spec is not None
    assert spec.loader is not None
    copy = module_from_spec(spec)
    spec.loader.exec_module(copy)
    numpy = ModuleType("numpy")
    vars(numpy).update(vars(np), random=random_state)
    vars(copy)["np"] = numpy
    if (stats := getattr(copy, "sps", None)) is not None:
        from hpo.backends._truncated_normal import SeededTruncatedNormal  # it imports SciPy, which not every copy needs

        vars(copy)["sps"] = SimpleNamespace(truncnorm=SeededTruncatedNormal(stats, random_state))
    return copy

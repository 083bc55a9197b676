"""CPU cores: how many this process may use, and a context in which torch uses all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def n_cores() -> int:
    """Return the number of CPU cores that this process may use.

    `hpo.devices.n_cores` is the same function: `trainables` imports nothing of `hpo`, and `hpo.devices` nothing of
    `trainables`.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def all_cores() -> Iterator[None]:
    """Let torch use all cores inside the `with` block. The number of threads is restored afterwards.

    Use it for computations that the other workers wait for: their cores are idle meanwhile.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)

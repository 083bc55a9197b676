"""Cores and threads: how many cores this process may use, and torch on all of them for a while."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def n_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def all_cores() -> Iterator[None]:
    """Let torch use all cores inside. Use it where other workers wait for the result."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)

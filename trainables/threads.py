"""Threads (ground floor of training): how many torch uses, for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from trainables.store import n_cores


@contextmanager
def all_cores() -> Iterator[None]:
    """Let torch use all cores that this process may use, where other workers wait for what is computed inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)

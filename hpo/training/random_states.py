"""The random states of the process that trains: Python's, NumPy's and torch's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unchanged_random_states() -> Iterator[None]:
    """Restore the random states at the end of the `with` block."""
    from trainables.seeding import RandomStates

    states = RandomStates()
    try:
        yield
    finally:
        states.restore()

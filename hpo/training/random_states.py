"""The random states of the process that trains: Python's, NumPy's and torch's."""

from __future__ import annotations

from contextlib import AbstractContextManager


def unchanged_random_states() -> AbstractContextManager[None]:
    """Restore the random states at the end of the `with` block. See `trainables.seeding.unchanged_random_states`."""
    from trainables import seeding

    return seeding.unchanged_random_states()

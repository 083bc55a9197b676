"""A separate random state for libraries that draw from numpy's global one."""

from __future__ import annotations

from types import TracebackType

import numpy as np


class PrivateNumpyState:
    """A context manager that replaces numpy's global random state with its own, and restores it on exit.

    The private state continues where the previous `with` block left it. So draws inside are reproducible, and code
    outside is not affected by them.
    """

    def __init__(self, seed: int) -> None:
        self._private = np.random.RandomState(seed).get_state()

    def __enter__(self) -> None:
        self._global = np.random.get_state()
        np.random.set_state(self._private)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._private = np.random.get_state()
        np.random.set_state(self._global)

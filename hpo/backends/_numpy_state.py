"""A global random state of one's own, for libraries that draw from numpy's."""

from __future__ import annotations

from types import TracebackType

import numpy as np


class OwnNumpyState:
    """Within `with`, numpy's global random state is this one; outside, it is as if nothing had been drawn."""

    def __init__(self, seed: int) -> None:
        self._own = np.random.RandomState(seed).get_state()

    def __enter__(self) -> None:
        self._outer = np.random.get_state()
        np.random.set_state(self._own)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._own = np.random.get_state()
        np.random.set_state(self._outer)

"""Hiding the warnings of libraries, in whatever threads the backends run."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

PROCESS_SETTINGS = threading.RLock()
"""Is held by whoever changes a setting of the whole process for a moment, such as the filters of warnings.

Otherwise two threads that save and restore such a setting could leave it changed.
"""


@contextmanager
def ignored_warnings(*categories: type[Warning]) -> Iterator[None]:
    """Hide the warnings of these categories inside the `with` block. Only one thread at a time can be inside."""
    with PROCESS_SETTINGS, warnings.catch_warnings():
        for category in categories:
            warnings.simplefilter("ignore", category)
        yield

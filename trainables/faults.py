"""The fault that no configuration can help (ground floor of training): data or weights that are not as needed."""

from __future__ import annotations


class SetupError(ValueError):
    """What the task names is missing, unreadable or does not fit: every trial would fail alike.

    The message says which file or key, what is wrong with it, and what to do.
    """

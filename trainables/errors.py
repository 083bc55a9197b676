"""Faults of what a user gave: data or weights not as needed, values that cannot be."""

from __future__ import annotations

from collections.abc import Iterable


class WrongValue(ValueError):
    """The value of a hyperparameter that cannot be; another may do. The message names its key, and what is allowed."""


class SetupError(ValueError):
    """What the task names is missing, unreadable or does not fit: every trial would fail alike.

    The message says which file or key, what is wrong with it, and what to do.
    """

    def __init__(self, message: str, *, keys: Iterable[str] = ()) -> None:
        """`keys` name the hyperparameters that it hangs on too: where one is searched, other trials may do well."""
        super().__init__(message)
        self.keys = tuple(keys)


def reason(error: BaseException) -> str:
    """The first line of an error's text that says anything, else its type."""
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)

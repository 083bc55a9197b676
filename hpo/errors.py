"""The errors that hpo raises. The message is plain text, one line for each problem.

HpoError                  any error that hpo raises on purpose; exit status 1
├── UserError             the command, or a file given to it, is wrong; exit status 2
│   ├── SpaceError        a rule of a search space is broken
│   ├── SpaceFileError    a space file has mistakes; the message lists all of them
│   ├── UnknownName       a name does not exist; the message suggests the most similar one
│   ├── TaskError         data, weights or values of a task are missing, unreadable or invalid
│   └── StudyError        a study exists already, is missing, is locked, or was made for another space
├── ReplayError           a replayed search differs from its record
├── TooManyCrashes        several trials in a row crashed; the message holds the first error
└── MachineError          the disk is full, a permission is missing, or a storage is broken
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from itertools import accumulate

from trainables.errors import encodable
from trainables.errors import line_in as line_in  # the alias exports them to other modules
from trainables.errors import reason as reason


class HpoError(Exception):
    """Any error that hpo raises on purpose."""

    exit_status = 1

    def __init__(self, message: str = "", *, go_on_with: Sequence[str] = ()) -> None:
        """Names in `message` that are not UTF-8 are escaped, so that it can be printed and stored.

        `go_on_with` are ways to go on with the study after this error, as options of `hpo resume`.
        """
        super().__init__(encodable(message))
        self.go_on_with = tuple(go_on_with)


class UserError(HpoError):
    """The command, or a file given to it, is wrong."""

    exit_status = 2


class SpaceError(UserError):
    """A rule of a search space is broken. The message has one line for each problem."""


class SpaceFileError(UserError):
    """A space file has mistakes. The message has one line for each of them."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class UnknownName(UserError):
    """A name does not exist. The message suggests the most similar known name."""

    def __init__(self, what: str, name: str, known: Iterable[str], *, listed_by: Sequence[str] = ()) -> None:
        """`listed_by` are the commands that list all known names."""
        super().__init__(f"unknown {what} {shortened(repr(name))}{nearest(name, known, listed_by=listed_by)}")


class TaskError(UserError):
    """Data, weights or values of a task are missing, unreadable or invalid, so every trial would fail the same way."""


class StudyError(UserError):
    """A study exists already, is missing, is locked, or was made for another space."""


class ReplayError(HpoError):
    """A replayed search differs from its record."""


class TooManyCrashes(HpoError):
    """Several trials in a row crashed. The message holds the first error."""


class MachineError(HpoError):
    """The disk is full, a permission is missing, or a storage is broken."""


MAX_TEXT_LENGTH = 80
"""A text of the user that is longer than so many characters is cut in a message."""
MAX_NAMES_LENGTH = 160
"""A list of names longer than so many characters is cut to the most similar names."""
LONG_NAME = 7
"""Names of so many characters must be more similar than shorter ones to be suggested."""


def shortened(text: str) -> str:
    """A text for a message. The middle of a long one is cut, so that the file name of a path remains."""
    half = (MAX_TEXT_LENGTH - 3) // 2
    return text if len(text) <= MAX_TEXT_LENGTH else f"{text[:half]}...{text[-half:]}"


def nearest(
    name: str, known: Iterable[str], *, max_length: float = MAX_NAMES_LENGTH, listed_by: Sequence[str] = ()
) -> str:
    """The end of a message about an unknown `name`: the most similar known name and the names that are allowed.

    If the list of the names is longer than `max_length` characters, only the most similar ones are listed, and none
    after a good suggestion. `listed_by` are commands that list all; a message that does not list all ends with them.
    """
    names = sorted(known)
    close = _close(name, names)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    is_long = len(", ".join(names)) > max_length
    if close and is_long:
        return f"{hint} ({_listing(listed_by)})" if listed_by else hint
    listed = _nearest_few(name, names) if is_long else names
    others = f", and {len(names) - len(listed)} others" if len(listed) < len(names) else ""
    command = f"; {_listing(listed_by)}" if others and listed_by else ""
    return f"{hint} (allowed: {', '.join(listed) or 'none'}{others}{command})"


def _listing(commands: Sequence[str]) -> str:
    """The commands that list all names, in words."""
    return " and ".join(f"`{command}`" for command in commands) + (" lists all" if len(commands) == 1 else " list all")


def _close(name: str, names: Sequence[str]) -> list[str]:
    """The name that is most similar to `name`, if it is similar enough. Letters of long names match by chance."""
    return difflib.get_close_matches(name, names, n=1, cutoff=0.6 if len(name) < LONG_NAME else 0.7)


def _nearest_few(name: str, names: list[str]) -> list[str]:
    """The most similar of `names`, as many as fit into the message, sorted."""
    by_similarity = difflib.get_close_matches(name, names, n=len(names), cutoff=0)
    ends = accumulate(len(other) + len(", ") for other in by_similarity)
    return sorted(other for other, end in zip(by_similarity, ends, strict=True) if end <= MAX_NAMES_LENGTH)

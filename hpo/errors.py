"""The errors of hpo. What a user can mend reads as one plain line; nothing here prints.

HpoError                  everything hpo raises on purpose; exit status 1
├── Mistake               the command, or a file given to it, is wrong; exit status 2
│   ├── SpaceError        one rule of a search space is broken
│   ├── SpaceFileError    a space file, with every mistake in it
│   ├── UnknownName       a name that nothing answers to, with the nearest that one does
│   ├── TaskError         data, weights or values of a task are missing, unreadable, or cannot be
│   └── StudyError        a study that exists, is missing, is locked, or was made for another space
├── ReplayError           a replayed search departs from its record
├── TooManyCrashes        trials crash one after another; carries the first error
└── MachineError          the machine is at fault: disk full, no permission, broken storage
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import accumulate


class HpoError(Exception):
    """Everything hpo raises on purpose."""

    exit_status = 1


class Mistake(HpoError):
    """The command, or a file given to it, is wrong."""

    exit_status = 2


class SpaceError(Mistake):
    """One rule of a search space is broken."""


class SpaceFileError(Mistake):
    """A space file with mistakes in it, all of them, one a line."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class UnknownName(Mistake):
    """A name that nothing answers to."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"unknown {what} {name!r}{nearest(name, known)}")


class TaskError(Mistake):
    """Data, weights or values that a task names are missing, unreadable or cannot be: every trial would fail alike."""


class StudyError(Mistake):
    """A study that exists, is missing, is locked, or was made for another space."""


class ReplayError(HpoError):
    """A replayed search departs from its record."""


class TooManyCrashes(HpoError):
    """Trials crash one after another; the message carries the first error."""


class MachineError(HpoError):
    """The machine is at fault: disk full, no permission, broken storage."""


WIDTH = 160
"""Characters of a message in which it tells names; of more, those that are nearest."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown `name`: the nearest known one, and those allowed; of many, the nearest."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    told = names if len(", ".join(names)) <= WIDTH else _nearest_few(name, names)
    others = f", and {len(names) - len(told)} others" if len(told) < len(names) else ""
    return f"{hint} (allowed: {', '.join(told) or 'none'}{others})"


def _nearest_few(name: str, names: list[str]) -> list[str]:
    """As many of `names` as fit, the nearest ones, sorted."""
    ordered = difflib.get_close_matches(name, names, n=len(names), cutoff=0)
    ends = accumulate(len(each) + len(", ") for each in ordered)
    return sorted(each for each, end in zip(ordered, ends, strict=True) if end <= WIDTH)

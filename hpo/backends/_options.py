"""Checks that the bundled backends make when they are built: of their options, seed and extra packages."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from hpo.errors import Mistake, UnknownName


def no_others(unknown: Mapping[str, object], known: Collection[str]) -> None:
    """Raise an UnknownName for an option that the backend does not have."""
    for name in unknown:
        raise UnknownName("option of this backend", name, known)


def one_of(name: str, value: object, allowed: Collection[str]) -> str:
    """The value of an option that takes one of a few names; an unset one reads as `none`."""
    chosen = "none" if value is None else str(value)
    if chosen not in allowed:
        raise UnknownName(name, chosen, allowed)
    return chosen


def whole(name: str, value: object, low: int, high: int | None = None) -> int:
    """The value of an option that takes a whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        most = "" if high is None else f" and at most {high}"
        raise Mistake(f"`{name}` must be a whole number of at least {low}{most}, but is {value!r}")
    return value


def number(name: str, value: object, low: float, high: float = math.inf, *, open_low: bool = False) -> float:
    """The value of an option that takes a finite number from `low` to `high`; `open_low` leaves out `low` itself."""
    sound = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not sound or not low <= value <= high or (open_low and value == low):  # type: ignore[operator]
        least = f"above {low:g}" if open_low else f"of at least {low:g}"
        most = "" if high == math.inf else f" and at most {high:g}"
        raise Mistake(f"`{name}` must be a number {least}{most}, but is {value!r}")
    return float(value)  # type: ignore[arg-type]


def seed32(seed: object) -> int:
    """A seed that numpy's random state takes."""
    return whole("seed", seed, 0, 2**32 - 1)


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Import the packages of one of hpo's extras in here: what they warn of on import is no fault of the user's.

    Importing Ray draws from Python's global random state, which is put back. Raises Mistake, with the
    command that installs the packages, where they cannot be imported.
    """
    state = random.getstate()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImportError as error:
        raise Mistake(f"{error}; this needs: pip install 'hpo[{extra}]'") from error
    finally:
        random.setstate(state)

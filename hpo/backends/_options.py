"""Checks of a backend's options and seed, and the import of the packages of an extra."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from hpo.backends._quiet import ignored_warnings
from hpo.errors import UnknownName, UserError


def reject_unknown(backend: str, unknown: Mapping[str, object], known: Collection[str]) -> None:
    """Raise an UnknownName if `unknown` holds any option. `known` are the options that the backend of that name has."""
    for name in unknown:
        raise UnknownName(f"option of the backend {backend}:", name, known)


def one_of(name: str, value: object, allowed: Collection[str]) -> str:
    """The value of an option that takes one of several names. None is read as the name `none`.

    Raises UnknownName if the value is not allowed.
    """
    chosen = "none" if value is None else str(value)
    if chosen not in allowed:
        raise UnknownName(name, chosen, allowed)
    return chosen


def whole_number(name: str, value: object, low: int, high: int | None = None) -> int:
    """The value of an option that takes a whole number from `low` to `high`. UserError if it is anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        most = "" if high is None else f" and at most {high}"
        raise UserError(f"`{name}` must be a whole number of at least {low}{most}, but is {value!r}")
    return value


def number(name: str, value: object, low: float, high: float = math.inf, *, open_low: bool = False) -> float:
    """The value of an option that takes a finite number from `low` to `high`. Raises UserError if it is anything else.

    With `open_low`, `low` itself is not allowed.
    """
    is_finite = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_finite or not low <= value <= high or (open_low and value == low):  # type: ignore[operator]
        least = f"above {low:g}" if open_low else f"of at least {low:g}"
        most = "" if high == math.inf else f" and at most {high:g}"
        raise UserError(f"`{name}` must be a number {least}{most}, but is {value!r}")
    return float(value)  # type: ignore[arg-type]


def seed32(seed: object) -> int:
    """The seed, if numpy's random state can take it: 0 to 2**32 - 1. Raises UserError if it cannot."""
    return whole_number("seed", seed, 0, 2**32 - 1)


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """A context in which a backend imports the packages of one of hpo's extras.

    Warnings are hidden inside, because users can do nothing about what a package warns of on import. If anything is
    imported, Python's global random state is restored, because importing Ray draws from it. Raises UserError, with the
    command that installs the extra, if an import fails.
    """
    state, n_modules = random.getstate(), len(sys.modules)
    try:
        with ignored_warnings(Warning):
            yield
    except ImportError as error:
        raise UserError(f"{error}; this needs: pip install 'hpo[{extra}]'") from error
    finally:
        if len(sys.modules) > n_modules:
            random.setstate(state)

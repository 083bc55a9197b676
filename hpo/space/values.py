"""The single values that a search space holds: which are sound, which are equal, how they are shown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TypeGuard

from hpo.trial import Scalar

LARGEST = 2**53
"""Beyond it a float, and so half of the backends, no longer tells a whole number from the next."""


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number; a truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def identity(value: Scalar) -> tuple[str, Scalar]:
    """What makes two choices the same: 1 and 1.0 are, 1 and true are not."""
    kind = "bool" if isinstance(value, bool) else "number" if is_number(value) else type(value).__name__
    return kind, value


def holds(value: Scalar, allowed: Iterable[Scalar]) -> bool:
    """Whether a value is one of those allowed; 1 equals 1.0, but not true."""
    return identity(value) in {identity(choice) for choice in allowed}


def scalar_problem(value: object) -> str | None:
    """What keeps a value from being a single finite one."""
    if value is not None and not isinstance(value, bool | int | float | str):
        return f"must be a single value, but is {shown(value)}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"must be finite, but is {shown(value)}"
    return None


def number_problem(value: object, *, whole: bool) -> str | None:
    """What keeps a value from being the bound of a range; `whole` for a range of whole numbers."""
    if value is None:
        return "is missing"
    if whole and (isinstance(value, bool) or not isinstance(value, int)):
        return f"must be a whole number with type=int, but is {shown(value)}"
    if not is_number(value):
        return f"must be a number, but is {shown(value)}"
    if isinstance(value, int) and abs(value) > LARGEST:
        return f"must lie between -2**53 and 2**53, but is {shown(value)}"
    return scalar_problem(value)


def count_problem(value: object, least: int) -> str | None:
    """What keeps a value from being a whole number of at least `least`."""
    if value is None:
        return "is missing"
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST:
        return f"must be a whole number of at least {least}, but is {shown(value)}"
    return None


def shown(value: object) -> str:
    """A value as it stands in a space file, cut where it is long."""
    if isinstance(value, list | tuple):
        text = f"[{', '.join(map(shown, value))}]"
    elif isinstance(value, Mapping):
        text = f"{{{', '.join(f'{key}: {shown(each)}' for key, each in value.items())}}}"
    elif isinstance(value, bool) or value is None:
        text = {True: "true", False: "false", None: "null"}[value]
    else:
        text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

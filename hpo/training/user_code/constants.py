"""Constants, names and types as text that is the same in every process."""

from __future__ import annotations

import enum
import hashlib
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePath
from types import ModuleType
from typing import Any

SCALARS: tuple[Any, ...] = (
    *(bool, int, float, complex, str, bytes, bytearray, range),
    *(type(None), type(...), Decimal, Fraction, PurePath),
)


def constant_text(value: Any) -> str | None:
    """The text of a constant, the same in every process; None for what is none."""
    kind = type(value)
    if issubclass(kind, enum.Enum):
        return f"{name_of(kind)}.{value._name_}={constant_text(value._value_)}"
    for scalar in SCALARS:
        if issubclass(kind, scalar):
            return str(scalar.__repr__(value))
    numpy = sys.modules.get("numpy")
    if numpy is not None and issubclass(kind, numpy.ndarray | numpy.generic) and not value.dtype.hasobject:
        return f"{value.dtype}{value.shape}{hashlib.sha256(value.tobytes()).hexdigest()}"
    return None


def sort_key(value: Any) -> str:
    """A text to sort keys by: that of a constant, or the name of any other object."""
    try:
        if type(value) in (tuple, frozenset):
            parts = [sort_key(each) for each in value]
            return f"{type(value).__name__}{parts if type(value) is tuple else sorted(parts)}"
        return constant_text(value) or name_of(value)
    except Exception:  # objects may fail in any way when they are looked at
        return type_name(value)


def name_of(value: Any) -> str:
    """The name of a function, a class or a module; the name of the type of anything else."""
    if issubclass(type(value), ModuleType):
        return f"module {value.__name__}"
    name = getattr(value, "__qualname__", None) if callable(value) else None
    if not isinstance(name, str):
        return type_name(value)
    return f"{getattr(value, '__module__', '')}.{name}"


def type_name(value: Any) -> str:
    """The full name of the type of an object."""
    return f"{type(value).__module__}.{type(value).__qualname__}"

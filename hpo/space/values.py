"""Checks of single values of a search space: which values are valid, which are equal, and how errors show them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from hpo.errors import shortened
from hpo.trial import Scalar, Value

MAX_INT = 2**53
"""The largest valid whole number. Above it, a float cannot tell neighbours apart, and several backends use floats."""


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number. A truth value is not a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def comparison_key(value: Value) -> tuple[str, Any]:
    """The key by which two values are compared: 1 equals 1.0, but 1 does not equal true. Lists compare by element."""
    if isinstance(value, list | tuple):
        return "list", tuple(map(comparison_key, value))
    kind = "bool" if isinstance(value, bool) else "number" if is_number(value) else type(value).__name__
    return kind, value


def is_one_of(value: Value, allowed: Iterable[Value]) -> bool:
    """Whether a value is one of those allowed: 1 equals 1.0, but 1 does not equal true."""
    return comparison_key(value) in {comparison_key(choice) for choice in allowed}


def with_tuples(value: Any) -> Any:
    """The value with each list in it as a tuple, so that it cannot be changed. Any other value is returned as it is."""
    return tuple(map(with_tuples, value)) if isinstance(value, list | tuple) else value


def with_lists(value: Any) -> Any:
    """The value with each tuple in it as a list, as YAML and JSON give it. It reverses `with_tuples`."""
    return list(map(with_lists, value)) if isinstance(value, list | tuple) else value


def list_as_text(value: Value) -> Scalar:
    """A list as text, such as `[64, 64]`, for tables and for libraries without lists. Any other value as it is."""
    return json.dumps(with_lists(value), ensure_ascii=False) if isinstance(value, list | tuple) else value


def value_as_text(value: Any) -> str:
    """A value as a key of a space file: text as it is, anything else as JSON writes it."""
    return value if isinstance(value, str) else json.dumps(with_lists(value), ensure_ascii=False)


def value_problem(value: object) -> str | None:
    """Why a value is neither a single finite value nor a list of such values. Returns None if it is one."""
    if not isinstance(value, list | tuple):
        return scalar_problem(value)
    return next((f"holds a value that {text}" for item in value if (text := value_problem(item)) is not None), None)


def scalar_problem(value: object) -> str | None:
    """Why a value is not a single finite value. Returns None if it is one."""
    if value is not None and not isinstance(value, bool | int | float | str):
        return f"must be a single value, but is {format_value(value)}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"must be finite, but is {format_value(value)}"
    return None


def number_problem(value: object, *, whole: bool) -> str | None:
    """Why a value cannot be a bound of a range. Returns None if it can. `whole` demands a whole number."""
    if value is None:
        return "is missing"
    if whole and (isinstance(value, bool) or not isinstance(value, int)):
        return f"must be a whole number with type=int, but is {format_value(value)}"
    if not is_number(value):
        return f"must be a number, but is {format_value(value)}"
    if isinstance(value, int) and abs(value) > MAX_INT:
        return f"must lie between -2**53 and 2**53, but is {format_value(value)}"
    return scalar_problem(value)


def count_problem(value: object, least: int) -> str | None:
    """Why a value is not a whole number of at least `least`. Returns None if it is one."""
    if value is None:
        return "is missing"
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_INT:
        return f"must be a whole number of at least {least}, but is {format_value(value)}"
    return None


def format_value(value: object) -> str:
    """A value as text, in the style of a space file. A long text is cut."""
    if isinstance(value, list | tuple):
        text = f"[{', '.join(map(format_value, value))}]"
    elif isinstance(value, Mapping):
        text = f"{{{', '.join(f'{key}: {format_value(content)}' for key, content in value.items())}}}"
    elif isinstance(value, bool) or value is None:
        text = {True: "true", False: "false", None: "null"}[value]
    else:
        text = repr(value)
    return shortened(text)

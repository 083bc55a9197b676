"""The values of a space that are not in the list that their hyperparameter or option declares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hpo.errors import nearest
from hpo.space.rules import Problem
from hpo.space.values import format_value, is_one_of
from hpo.trial import Scalar, Value


def list_problems(
    keys: tuple[str, ...],
    values: Sequence[Value] | None,
    allowed: str | list[Scalar],
    *,
    has_default: bool = True,
) -> Iterator[Problem]:
    """The values that are not in the list `allowed`. A description (a text) allows every value.

    `values` are None for a range. With `has_default`, the first of `allowed` is the default.
    """
    if isinstance(allowed, str):
        return
    if values is None:
        yield keys, f"must be choices out of {format_value(allowed)}, but is a range"
        return
    names = [each if isinstance(each, str) else format_value(each) for each in allowed]
    for value in values:
        if is_allowed(value, allowed):
            continue
        if value is None:
            default = f"; {names[0]} is the default" if has_default else ""
            yield keys, f"null is none of its values{default}{nearest('', names)}"
        else:
            yield keys, f"{format_value(value)} is unknown{nearest(str(value), names)}"


def is_allowed(value: Value, allowed: Sequence[Value] | None) -> bool:
    """Whether a list holds a value, or an entry such as "timm:NAME" that stands for it. None allows all."""
    if allowed is None:
        return True
    family, _, name = str(value).partition(":")
    return is_one_of(value, allowed) or (bool(name) and f"{family}:NAME" in allowed)

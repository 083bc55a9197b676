"""The check of the metrics that own training code gives for an epoch, and of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hpo.errors import TaskError

EXAMPLE = "as {'val_loss': 0.5}"


def checked(returned: object, must: str) -> dict[str, float]:
    """Return the metrics of an epoch as floats. Raises a TaskError if `returned` is not a mapping to numbers.

    Tensors and arrays with one entry are numbers. `must` begins the message about any other object, as "step()
    returned {}; it must return metrics"; the object replaces the braces.
    """
    if not isinstance(returned, Mapping):
        raise TaskError(f"{must.replace('{}', short(returned))}, {EXAMPLE}")
    return {str(key): _number(str(key), value) for key, value in returned.items()}


def short(value: object) -> str:
    """The repr of a value in one line of at most 60 characters."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def number(value: object) -> float | None:
    """The value as a float, None if it is not a number. A tensor or an array with one entry is a number."""
    # The shape is checked first: a RuntimeError of `float` may be an error of the GPU, which is not a wrong metric.
    if not isinstance(value, str | bytes) and math.prod(getattr(value, "shape", ())) == 1:
        try:
            return float(value.item() if hasattr(value, "item") else value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return None
    return None


def _number(name: str, value: object) -> float:
    """The value as a float. Raises a TaskError, which names the metric, if it is not a number."""
    found = number(value)
    if found is None:
        raise TaskError(f"the metric {name} is {short(value)}: it must be a number")
    return found

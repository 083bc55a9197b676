"""Errors at the edge of the Python API: users see the line of their own code and the message, nothing in between."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from hpo.errors import HpoError

P = ParamSpec("P")
R = TypeVar("R")


def short_traceback(function: Callable[P, R]) -> Callable[P, R]:
    """Let a public function raise each HpoError, and Ctrl-C, without the traceback of what happened inside hpo."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (HpoError, KeyboardInterrupt) as error:
            raise error.with_traceback(None) from None

    return wrapper

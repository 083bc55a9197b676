"""Pickles the training code of a user with cloudpickle, so that it can be sent to a worker process."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any


def pickled(code: Callable[..., Any] | None) -> bytes:
    """Return the pickle of `code`. Code that another process cannot import is in it by value.

    That is code of a script or a notebook, a lambda, or code of a module that was loaded from a file outside
    `sys.path`. The objects in it may raise any error when they are pickled.
    """
    import cloudpickle

    inner = code
    while isinstance(inner, functools.partial):
        inner = inner.func
    module = sys.modules.get(getattr(inner, "__module__", None) or "")
    if module is None or module.__name__ == "__main__" or _is_importable(module):
        return bytes(cloudpickle.dumps(code))
    with _pickled_by_value(module):
        return bytes(cloudpickle.dumps(code))


@contextlib.contextmanager
def _pickled_by_value(module: ModuleType) -> Iterator[None]:
    """Inside this context, cloudpickle sends the code of a module with the pickle, and not its name."""
    import cloudpickle

    if module.__name__ in cloudpickle.list_registry_pickle_by_value():  # the user has registered it
        yield
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _is_importable(module: ModuleType) -> bool:
    """Whether another process with the same `sys.path` would import this module by its name, from the same file."""
    parent, _, _ = module.__name__.rpartition(".")
    path = getattr(sys.modules.get(parent), "__path__", ()) if parent else None
    found = (finder.find_spec(module.__name__, path) for finder in sys.meta_path if hasattr(finder, "find_spec"))
    spec = next((spec for spec in found if spec is not None), None)
    file = getattr(module, "__file__", None)
    if spec is None or file is None or not spec.has_location or spec.origin is None:
        return spec is not None
    return Path(spec.origin).resolve() == Path(file).resolve()

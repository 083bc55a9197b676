"""The form of a module: in words, all that its forward pass depends on beside its tensors.

Its classes with the versions of the packages, or the sources, that they come from, and whatever its modules
hold as attributes. Two modules of one form that hold the same tensors compute the same.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trainables.trainable import TransferModel

MAX_HASHED_BYTES = 2**28
"""Of weights that are kept beside their hash, in the memory of their device: two models at most, each up to so many."""
PACKAGES = ("torch", "torchvision", "timm")
"""Known by their versions; other classes by their sources."""
OWN = {*vars(nn.Module()), "training"}
"""What every module holds. Features are computed in evaluation mode, whatever the mode is."""
PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, slice, range)


def of_stages(model: TransferModel, n_stages: int) -> str:
    """What the features after the first stages depend on beside the images, as a hash.

    That of equal ones is found again, as to compare weights takes less than to hash them.
    """
    words: list[str] = []
    tensors: list[Tensor] = [model.mean, model.std]
    for name in list(model.stages)[:n_stages]:
        stage = model.stages[name]
        words += describe(stage)
        for key, value in [*stage.named_parameters(), *stage.named_buffers()]:
            words.append(key)
            tensors.append(value.detach())
    for i, known in enumerate(_hashed):
        if known.are(words, tensors):
            del _hashed[i]
            _hashed.appendleft(known)
            return known.digest
    digest = hashlib.sha256("\n".join(words).encode())  # processors have instructions for it
    for value in tensors:
        digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    if sum(value.nbytes for value in tensors) <= MAX_HASHED_BYTES:
        _hashed.appendleft(_Hashed(words, [value.clone() for value in tensors], digest.hexdigest()))
    return digest.hexdigest()


class _Hashed(NamedTuple):
    """Weights whose hash is known."""

    words: list[str]
    tensors: list[Tensor]
    digest: str

    def are(self, words: list[str], tensors: list[Tensor]) -> bool:
        return self.words == words and all(
            one.dtype == other.dtype and one.device == other.device and torch.equal(one, other)
            for one, other in zip(self.tensors, tensors, strict=True)
        )


_hashed: deque[_Hashed] = deque(maxlen=2)


def describe(module: nn.Module) -> list[str]:
    """The lines of its form; what cannot be put into words stands for itself in this process alone."""
    return [repr(module), *(line for each in module.modules() for line in _lines(each))]


def is_reproducible(module: nn.Module) -> bool:
    """Whether all of its form can be put into words, so that another process finds the same."""
    return not any(_UNKNOWN in line for line in describe(module))


_UNKNOWN = "<unknown at "


def _lines(module: nn.Module) -> Iterator[str]:
    kind: Any = type(module)
    yield _source(kind)
    for key, value in sorted(vars(module).items()):
        if key not in OWN:
            yield f"{key}={_words(value)}"


def _words(value: object) -> str:
    if isinstance(value, PLAIN):
        return repr(value)
    if isinstance(value, list | tuple | set | frozenset):
        words = [_words(each) for each in value]
        return f"{type(value).__name__}({', '.join(sorted(words) if isinstance(value, set | frozenset) else words)})"
    if isinstance(value, Mapping):
        return f"mapping({', '.join(f'{_words(key)}: {_words(each)}' for key, each in value.items())})"
    if isinstance(value, type):
        return _source(value)
    is_named = isinstance(value, FunctionType | BuiltinFunctionType) and "<" not in value.__qualname__
    if is_named and not getattr(value, "__closure__", None):
        return _source(value)
    return f"{_UNKNOWN}{id(value)}>"


@lru_cache(maxsize=1000)
def _source(named: Any) -> str:
    """The name of a class or function, and the version of its package, or a hash of the file it stands in."""
    name, package = f"{named.__module__}.{named.__qualname__}", str(named.__module__).partition(".")[0]
    if package in PACKAGES:
        return f"{name} {getattr(sys.modules.get(package), '__version__', '')}"
    try:
        path = inspect.getsourcefile(named)
        if path is not None:
            return f"{name} {hashlib.sha256(Path(path).read_bytes()).hexdigest()}"
    except (TypeError, OSError):
        pass
    return f"{name} {_UNKNOWN}{id(named)}>"
